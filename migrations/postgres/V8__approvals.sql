-- Who approved which deployment. One row for each person, whichever way they came in.
CREATE TABLE approvals (
    deployment_id TEXT COLLATE "C" NOT NULL REFERENCES deployments (id),
    person        TEXT COLLATE "C" NOT NULL,
    subject       TEXT COLLATE "C" NOT NULL,
    recipe        TEXT COLLATE "C",
    at            TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (deployment_id, person)
);
