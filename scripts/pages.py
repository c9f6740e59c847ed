"""What `npm run dev` and `npm run deploy` begin with: the libraries of the pages, and the table of
word vectors."""

from scripts.setup import prepare_upload

if __name__ == "__main__":
    prepare_upload()
