-- What was measured of the approximate index when it was built.

CREATE TABLE base (
    id integer PRIMARY KEY CHECK (id = 1),
    record jsonb NOT NULL
);
