"""`python -m wsiseg` is the command `wsiseg`."""

from wsiseg.cli.main import main

if __name__ == "__main__":
    main()
