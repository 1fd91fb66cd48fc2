from services.throttle.main import main

main()
