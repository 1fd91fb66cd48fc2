from services.webhook.main import main

main()
