"""The theory of real against complex diagonal SSMs (P2 = arXiv 2410.14067): the model, its trainers, bounds and exact solutions."""
