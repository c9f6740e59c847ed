-- What a training would have come to with other targets (domain/classifier_curve.py); null: it was trained before.
ALTER TABLE classifiers ADD COLUMN curve TEXT;
