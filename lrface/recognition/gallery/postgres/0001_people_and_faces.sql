-- The people and faces of a gallery. {dim} is the size of the model's embeddings.

CREATE TABLE meta (
    key text PRIMARY KEY,
    value jsonb NOT NULL
);

CREATE TABLE people (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    key text NOT NULL UNIQUE
);

CREATE TABLE faces (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    person bigint NOT NULL REFERENCES people (id),
    digest bytea NOT NULL,
    source text NOT NULL,
    added text NOT NULL,
    resolution double precision,
    recognisability double precision,
    member text,
    embedding halfvec({dim}) NOT NULL,
    UNIQUE (person, digest)
);

CREATE INDEX faces_digest ON faces (digest);

-- How many there are. Each connection counts in one of the rows, so that writers do not wait for each other.
CREATE TABLE counts (
    slot integer PRIMARY KEY,
    people bigint NOT NULL DEFAULT 0,
    faces bigint NOT NULL DEFAULT 0,
    removed bigint NOT NULL DEFAULT 0
);

INSERT INTO counts (slot) SELECT generate_series(0, 15);
