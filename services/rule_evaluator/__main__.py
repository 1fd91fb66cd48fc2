from services.rule_evaluator.main import main

main()
