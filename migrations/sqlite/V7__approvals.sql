-- Who approved which deployment. One row for each person, whichever way they came in.
CREATE TABLE approvals (
    deployment_id TEXT NOT NULL REFERENCES deployments (id),
    person        TEXT NOT NULL,
    subject       TEXT NOT NULL,
    recipe        TEXT,
    at            TEXT NOT NULL,
    PRIMARY KEY (deployment_id, person)
);
