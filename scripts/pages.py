"""What `npm run dev` and `npm run deploy` begin with: the libraries of the pages."""

from scripts.setup import prepare_pages

if __name__ == "__main__":
    prepare_pages()
