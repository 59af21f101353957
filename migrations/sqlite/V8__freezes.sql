-- What a person holds stands beside the hold of a way back: a row of each kind.
ALTER TABLE holds RENAME TO holds_of_ways_back;
CREATE TABLE holds (
    environment TEXT NOT NULL,
    -- back or person.
    kind        TEXT NOT NULL,
    document    TEXT NOT NULL,
    PRIMARY KEY (environment, kind)
);
INSERT INTO holds (environment, kind, document)
    SELECT environment, 'back', document FROM holds_of_ways_back;
DROP TABLE holds_of_ways_back;
