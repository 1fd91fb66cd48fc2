from services.mailer.main import main

main()
