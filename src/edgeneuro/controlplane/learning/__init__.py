"""The classifier: training, its figures, selection and drift."""
