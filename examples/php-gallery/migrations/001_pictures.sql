CREATE TABLE pictures (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    title text NOT NULL CHECK (char_length(title) BETWEEN 1 AND 80),
    file text NOT NULL UNIQUE,
    added timestamptz NOT NULL DEFAULT now()
);
