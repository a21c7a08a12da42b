"""Parts of all reports: tables, the style of figures, the ledger of finished rows, and the digests that identify rows."""
