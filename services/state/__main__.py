from services.state.main import main

main()
