from services.local.inbox.main import main

main()
