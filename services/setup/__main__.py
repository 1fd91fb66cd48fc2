from services.setup.main import main

main()
