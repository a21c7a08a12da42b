"""What every report is made of: tables, the look of figures, the ledger of rows, and the fingerprints that name them."""
