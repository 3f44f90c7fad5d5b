SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;
SET default_tablespace = '';
SET default_table_access_method = heap;
CREATE TABLE public.alembic_version (
    version_num character varying(32) NOT NULL
);
CREATE TABLE public.audit (
    pk integer NOT NULL,
    at_s double precision NOT NULL,
    person text NOT NULL,
    action character varying(32) NOT NULL,
    object text NOT NULL,
    address text NOT NULL
);
CREATE SEQUENCE public.audit_pk_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.audit_pk_seq OWNED BY public.audit.pk;
CREATE TABLE public.correction (
    pk integer NOT NULL,
    message_pk integer NOT NULL,
    joint character varying(8) NOT NULL,
    erosion integer,
    narrowing integer,
    note text NOT NULL,
    person text NOT NULL,
    at_s double precision NOT NULL
);
CREATE SEQUENCE public.correction_pk_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.correction_pk_seq OWNED BY public.correction.pk;
CREATE TABLE public.device (
    pk integer NOT NULL,
    name character varying NOT NULL COLLATE pg_catalog."C",
    state text,
    health text,
    seen_s double precision NOT NULL,
    health_s double precision
);
CREATE SEQUENCE public.device_pk_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.device_pk_seq OWNED BY public.device.pk;
CREATE TABLE public.film_order (
    pk integer NOT NULL,
    message_pk integer NOT NULL,
    command character varying(16) NOT NULL,
    limb character varying(8),
    side character varying(1),
    person text NOT NULL,
    correlation character varying(32) NOT NULL,
    asked_s double precision NOT NULL,
    answered_s double precision,
    done boolean,
    detail text
);
CREATE SEQUENCE public.film_order_pk_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.film_order_pk_seq OWNED BY public.film_order.pk;
CREATE TABLE public.message (
    pk integer NOT NULL,
    device_pk integer NOT NULL,
    id character varying NOT NULL COLLATE pg_catalog."C",
    kind character varying(8) NOT NULL,
    sequence bigint NOT NULL,
    status character varying(16) NOT NULL,
    reason character varying(64),
    limb character varying(8),
    side character varying(1),
    study character varying NOT NULL COLLATE pg_catalog."C",
    patient character varying COLLATE pg_catalog."C",
    joined text,
    job bigint NOT NULL,
    supersedes character varying COLLATE pg_catalog."C",
    superseded_by character varying COLLATE pg_catalog."C",
    decided character varying(16),
    film_s double precision NOT NULL,
    received_s double precision NOT NULL,
    latency_ms double precision,
    erosion integer,
    narrowing integer,
    n_scored integer NOT NULL,
    n_expected integer NOT NULL,
    attention integer NOT NULL,
    read_s double precision,
    read_by text,
    payload text NOT NULL,
    digest character varying(64) NOT NULL
);
CREATE SEQUENCE public.message_pk_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.message_pk_seq OWNED BY public.message.pk;
CREATE TABLE public.note (
    name character varying(32) NOT NULL,
    value text NOT NULL
);
CREATE TABLE public.person (
    pk integer NOT NULL,
    name text NOT NULL,
    password text NOT NULL,
    role character varying(16) NOT NULL,
    active boolean NOT NULL,
    created_s double precision NOT NULL,
    issuer text,
    subject text
);
CREATE SEQUENCE public.person_pk_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.person_pk_seq OWNED BY public.person.pk;
CREATE TABLE public.picture (
    pk integer NOT NULL,
    device_pk integer NOT NULL,
    id character varying NOT NULL COLLATE pg_catalog."C",
    jpeg bytea NOT NULL,
    placed text,
    received_s double precision NOT NULL
);
CREATE SEQUENCE public.picture_pk_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.picture_pk_seq OWNED BY public.picture.pk;
CREATE TABLE public.problem (
    pk integer NOT NULL,
    at_s double precision NOT NULL,
    topic text NOT NULL,
    what text NOT NULL,
    bytes integer NOT NULL
);
CREATE SEQUENCE public.problem_pk_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.problem_pk_seq OWNED BY public.problem.pk;
CREATE TABLE public.session (
    key character varying(64) NOT NULL,
    person_pk integer NOT NULL,
    csrf character varying(64) NOT NULL,
    begun_s double precision NOT NULL,
    seen_s double precision NOT NULL,
    said text NOT NULL
);
CREATE TABLE public.sign_in (
    key character varying(64) NOT NULL,
    state character varying(64) NOT NULL,
    nonce character varying(64) NOT NULL,
    verifier character varying(64) NOT NULL,
    begun_s double precision NOT NULL
);
CREATE TABLE public.study (
    pk integer NOT NULL,
    device_pk integer NOT NULL,
    study character varying NOT NULL COLLATE pg_catalog."C",
    payload text NOT NULL,
    changed_s double precision NOT NULL
);
CREATE SEQUENCE public.study_pk_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.study_pk_seq OWNED BY public.study.pk;
ALTER TABLE ONLY public.audit ALTER COLUMN pk SET DEFAULT nextval('public.audit_pk_seq'::regclass);
ALTER TABLE ONLY public.correction ALTER COLUMN pk SET DEFAULT nextval('public.correction_pk_seq'::regclass);
ALTER TABLE ONLY public.device ALTER COLUMN pk SET DEFAULT nextval('public.device_pk_seq'::regclass);
ALTER TABLE ONLY public.film_order ALTER COLUMN pk SET DEFAULT nextval('public.film_order_pk_seq'::regclass);
ALTER TABLE ONLY public.message ALTER COLUMN pk SET DEFAULT nextval('public.message_pk_seq'::regclass);
ALTER TABLE ONLY public.person ALTER COLUMN pk SET DEFAULT nextval('public.person_pk_seq'::regclass);
ALTER TABLE ONLY public.picture ALTER COLUMN pk SET DEFAULT nextval('public.picture_pk_seq'::regclass);
ALTER TABLE ONLY public.problem ALTER COLUMN pk SET DEFAULT nextval('public.problem_pk_seq'::regclass);
ALTER TABLE ONLY public.study ALTER COLUMN pk SET DEFAULT nextval('public.study_pk_seq'::regclass);
INSERT INTO public.alembic_version VALUES ('0002');
INSERT INTO public.audit VALUES (1, 1796056382.0066803, 'Anna R (2)', 'account added', 'reader; OpenID Connect, subject s-1', '127.0.0.1');
INSERT INTO public.audit VALUES (2, 1796056382.0084143, 'Anna R (2)', 'sign-in', 'OpenID Connect, subject s-1', '127.0.0.1');
INSERT INTO public.correction VALUES (1, 1, 'MCP2', 2, 1, 'seen', 'Anna R', 1796042174.7105508);
INSERT INTO public.device VALUES (2, 'clinic/xray2/box2', NULL, NULL, 1790000100, NULL);
INSERT INTO public.device VALUES (1, 'clinic/xray1/box1', '{"schema_version":1,"state":"online","session":1,"site":"clinic","room":"xray1","device":"box1","since":1790000000.0,"protocol":"5","delivery":"receipt","versions":{"software":"0.0.0-simulated","engines":{"hand-score":"0000000000000000"}},"alerts":[],"journal_row":0,"journal_head":"","notice":"research use only, not a medical device"}', '{"schema_version":1,"session":1,"at":1790000000.0,"uptime_s":86400.0,"folder_waiting":0,"folder_native":true,"folder_fault":null,"outbox_depth":0,"outbox_oldest_s":0.0,"pacs_depth":0,"pacs_oldest_s":0.0,"pacs_set_aside":0,"jobs":{"receipted":3,"held":1},"disk_free_mib":51200,"temperature_c":48.5,"worker_restarts":0,"broker_reconnects":0,"messages_dropped":0,"latency":{"count":3,"p50_ms":219.0,"p99_ms":299.0},"recheck":null,"journal_row":3,"journal_head":"0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a","notice":"research use only, not a medical device"}', 1790000100, 1790000100);
INSERT INTO public.film_order VALUES (1, 5, 'release', NULL, 'R', 'Anna R', 'ab', 1796042174.7326374, NULL, NULL, NULL);
INSERT INTO public.message VALUES (3, 1, 'e3769292-da42-5fd2-8cda-fe29cf6ceb00', 'result', 3, 'scored', NULL, 'hand', 'L', '4421584122dd216cf985cf2dea0f1583', '6632250a7fa77f666e31a2875b29d709', NULL, 3, '094c7e69-49e6-5114-be75-746d49636d87', NULL, NULL, 1790000003, 1790000100, 599.9999046325684, 2, 3, 10, 10, 1, NULL, NULL, '{"schema_version":1,"id":"e3769292-da42-5fd2-8cda-fe29cf6ceb00","sequence":3,"site":"clinic","room":"xray1","device":"box1","job":3,"film_sha256":"18385143926bba62e90a2f169dfd48aba00615ebe6148a1e2f52c2f3a864f3b7","study":"4421584122dd216cf985cf2dea0f1583","patient":"6632250a7fa77f666e31a2875b29d709","identifiers":null,"supersedes":"094c7e69-49e6-5114-be75-746d49636d87","historical":false,"sending":1,"ledger":{"closed":1790000003.0,"closed_source":"close_event","picked_up":1790000003.006,"decoded":1790000003.06,"inferred":1790000003.588,"queued":1790000003.6,"sent":1790000003.6,"file_time":null,"stage_ms":{"decode":46.0,"find":110.0,"mask":140.0,"score":240.0},"clock_synchronised":true},"file":"film.jpg","limb_index":0,"status":"scored","reason":null,"advice":null,"limb":"hand","laterality":"L","laterality_source":"filename","view":"unknown","transform":null,"joints":[{"name":"IP1","name_candidate":null,"confidence":0.97,"box":[120.0,200.0,160.0,160.0],"centre":[200.0,280.0],"erosion":0,"erosion_expected":0.0,"erosion_reason":null,"narrowing":null,"narrowing_expected":null,"narrowing_reason":"not_in_svh","flags":[]},{"name":"PIP2","name_candidate":null,"confidence":0.97,"box":[280.0,200.0,160.0,160.0],"centre":[360.0,280.0],"erosion":0,"erosion_expected":0.0,"erosion_reason":null,"narrowing":0,"narrowing_expected":0.27,"narrowing_reason":null,"flags":[]},{"name":"PIP3","name_candidate":null,"confidence":0.97,"box":[440.0,200.0,160.0,160.0],"centre":[520.0,280.0],"erosion":0,"erosion_expected":0.4,"erosion_reason":null,"narrowing":0,"narrowing_expected":0.27,"narrowing_reason":null,"flags":[]},{"name":"PIP4","name_candidate":null,"confidence":0.97,"box":[600.0,200.0,160.0,160.0],"centre":[680.0,280.0],"erosion":0,"erosion_expected":0.0,"erosion_reason":null,"narrowing":0,"narrowing_expected":0.29,"narrowing_reason":null,"flags":[]},{"name":"PIP5","name_candidate":null,"confidence":0.97,"box":[760.0,200.0,160.0,160.0],"centre":[840.0,280.0],"erosion":0,"erosion_expected":0.14,"erosion_reason":null,"narrowing":0,"narrowing_expected":0.21,"narrowing_reason":null,"flags":[]},{"name":"MCP1","name_candidate":null,"confidence":0.97,"box":[120.0,680.0,160.0,160.0],"centre":[200.0,760.0],"erosion":0,"erosion_expected":0.0,"erosion_reason":null,"narrowing":1,"narrowing_expected":0.98,"narrowing_reason":null,"flags":[]},{"name":"MCP2","name_candidate":null,"confidence":0.97,"box":[280.0,680.0,160.0,160.0],"centre":[360.0,760.0],"erosion":1,"erosion_expected":1.17,"erosion_reason":null,"narrowing":1,"narrowing_expected":0.92,"narrowing_reason":null,"flags":[]},{"name":"MCP3","name_candidate":null,"confidence":0.97,"box":[440.0,680.0,160.0,160.0],"centre":[520.0,760.0],"erosion":1,"erosion_expected":1.35,"erosion_reason":null,"narrowing":1,"narrowing_expected":0.68,"narrowing_reason":null,"flags":[]},{"name":"MCP4","name_candidate":null,"confidence":0.97,"box":[600.0,680.0,160.0,160.0],"centre":[680.0,760.0],"erosion":0,"erosion_expected":0.37,"erosion_reason":null,"narrowing":0,"narrowing_expected":0.1,"narrowing_reason":null,"flags":[]},{"name":"MCP5","name_candidate":null,"confidence":0.97,"box":[760.0,680.0,160.0,160.0],"centre":[840.0,760.0],"erosion":0,"erosion_expected":0.0,"erosion_reason":null,"narrowing":0,"narrowing_expected":0.07,"narrowing_reason":null,"flags":[]}],"subtotals":{"erosion":{"score":2,"n_scored":10,"n_expected":10,"maximum":50,"attainable":50},"narrowing":{"score":3,"n_scored":9,"n_expected":9,"maximum":36,"attainable":36}},"n_scored":10,"n_expected":10,"flags":[],"versions":{"software":"0.0.0-simulated","engines":{"hand-score":"0000000000000000"}},"notice":"research use only, not a medical device"}', 'ec3852dfb56a680159bcf23bbca628a585697baf3f1da1b0ae4a5bde146db563');
INSERT INTO public.message VALUES (2, 1, '094c7e69-49e6-5114-be75-746d49636d87', 'result', 2, 'scored', NULL, 'hand', 'L', '4421584122dd216cf985cf2dea0f1583', '6632250a7fa77f666e31a2875b29d709', NULL, 2, NULL, 'e3769292-da42-5fd2-8cda-fe29cf6ceb00', NULL, 1790000002, 1790000100, 599.9999046325684, 3, 4, 9, 10, 0, NULL, NULL, '{"schema_version":1,"id":"094c7e69-49e6-5114-be75-746d49636d87","sequence":2,"site":"clinic","room":"xray1","device":"box1","job":2,"film_sha256":"838a53b4f000fdc4c2a78fb2009fc48017edef4d5aa69db6674c349a0bf9a208","study":"4421584122dd216cf985cf2dea0f1583","patient":"6632250a7fa77f666e31a2875b29d709","identifiers":null,"supersedes":null,"historical":false,"sending":1,"ledger":{"closed":1790000002.0,"closed_source":"close_event","picked_up":1790000002.006,"decoded":1790000002.06,"inferred":1790000002.588,"queued":1790000002.6,"sent":1790000002.6,"file_time":null,"stage_ms":{"decode":46.0,"find":110.0,"mask":140.0,"score":240.0},"clock_synchronised":true},"file":"film.jpg","limb_index":0,"status":"scored","reason":null,"advice":null,"limb":"hand","laterality":"L","laterality_source":"filename","view":"unknown","transform":null,"joints":[{"name":"IP1","name_candidate":null,"confidence":0.97,"box":[120.0,200.0,160.0,160.0],"centre":[200.0,280.0],"erosion":2,"erosion_expected":1.65,"erosion_reason":null,"narrowing":null,"narrowing_expected":null,"narrowing_reason":"not_in_svh","flags":[]},{"name":"PIP2","name_candidate":null,"confidence":0.97,"box":[280.0,200.0,160.0,160.0],"centre":[360.0,280.0],"erosion":0,"erosion_expected":0.19,"erosion_reason":null,"narrowing":0,"narrowing_expected":0.0,"narrowing_reason":null,"flags":[]},{"name":"PIP3","name_candidate":null,"confidence":0.97,"box":[440.0,200.0,160.0,160.0],"centre":[520.0,280.0],"erosion":0,"erosion_expected":0.06,"erosion_reason":null,"narrowing":0,"narrowing_expected":0.0,"narrowing_reason":null,"flags":[]},{"name":"PIP4","name_candidate":null,"confidence":0.97,"box":[600.0,200.0,160.0,160.0],"centre":[680.0,280.0],"erosion":0,"erosion_expected":0.4,"erosion_reason":null,"narrowing":1,"narrowing_expected":1.04,"narrowing_reason":null,"flags":[]},{"name":"PIP5","name_candidate":null,"confidence":0.97,"box":[760.0,200.0,160.0,160.0],"centre":[840.0,280.0],"erosion":0,"erosion_expected":0.0,"erosion_reason":null,"narrowing":0,"narrowing_expected":0.0,"narrowing_reason":null,"flags":[]},{"name":"MCP1","name_candidate":null,"confidence":0.97,"box":[120.0,680.0,160.0,160.0],"centre":[200.0,760.0],"erosion":0,"erosion_expected":0.31,"erosion_reason":null,"narrowing":0,"narrowing_expected":0.05,"narrowing_reason":null,"flags":[]},{"name":"MCP2","name_candidate":null,"confidence":0.97,"box":[280.0,680.0,160.0,160.0],"centre":[360.0,760.0],"erosion":null,"erosion_expected":null,"erosion_reason":"doubtful","narrowing":null,"narrowing_expected":null,"narrowing_reason":"doubtful","flags":[]},{"name":"MCP3","name_candidate":null,"confidence":0.97,"box":[440.0,680.0,160.0,160.0],"centre":[520.0,760.0],"erosion":0,"erosion_expected":0.01,"erosion_reason":null,"narrowing":1,"narrowing_expected":1.14,"narrowing_reason":null,"flags":[]},{"name":"MCP4","name_candidate":null,"confidence":0.97,"box":[600.0,680.0,160.0,160.0],"centre":[680.0,760.0],"erosion":0,"erosion_expected":0.24,"erosion_reason":null,"narrowing":1,"narrowing_expected":1.33,"narrowing_reason":null,"flags":[]},{"name":"MCP5","name_candidate":null,"confidence":0.97,"box":[760.0,680.0,160.0,160.0],"centre":[840.0,760.0],"erosion":1,"erosion_expected":0.88,"erosion_reason":null,"narrowing":1,"narrowing_expected":1.37,"narrowing_reason":null,"flags":[]}],"subtotals":{"erosion":{"score":3,"n_scored":9,"n_expected":10,"maximum":50,"attainable":45},"narrowing":{"score":4,"n_scored":8,"n_expected":9,"maximum":36,"attainable":32}},"n_scored":9,"n_expected":10,"flags":[],"versions":{"software":"0.0.0-simulated","engines":{"hand-score":"0000000000000000"}},"notice":"research use only, not a medical device"}', '5aa335618aa0bd2527b7382a9b592d418cf7d0f09baf4fd1b1f2fd892e1c2805');
INSERT INTO public.message VALUES (4, 2, '11a47850-28ff-51eb-a384-fa67e6bf9cc3', 'result', 1, 'scored', NULL, 'hand', 'L', '4421584122dd216cf985cf2dea0f1583', '6632250a7fa77f666e31a2875b29d709', NULL, 1, NULL, NULL, NULL, 1790000001, 1790000100, 599.9999046325684, 2, 2, 8, 10, 1, NULL, NULL, '{"schema_version":1,"id":"11a47850-28ff-51eb-a384-fa67e6bf9cc3","sequence":1,"site":"clinic","room":"xray2","device":"box2","job":1,"film_sha256":"0da35cb6da61d5e50d04909eb9c1783f197bc0428ba167d63d09a14fe4334146","study":"4421584122dd216cf985cf2dea0f1583","patient":"6632250a7fa77f666e31a2875b29d709","identifiers":null,"supersedes":null,"historical":false,"sending":1,"ledger":{"closed":1790000001.0,"closed_source":"close_event","picked_up":1790000001.006,"decoded":1790000001.06,"inferred":1790000001.588,"queued":1790000001.6,"sent":1790000001.6,"file_time":null,"stage_ms":{"decode":46.0,"find":110.0,"mask":140.0,"score":240.0},"clock_synchronised":true},"file":"film.jpg","limb_index":0,"status":"scored","reason":null,"advice":null,"limb":"hand","laterality":"L","laterality_source":"filename","view":"unknown","transform":null,"joints":[{"name":"IP1","name_candidate":null,"confidence":0.97,"box":[120.0,200.0,160.0,160.0],"centre":[200.0,280.0],"erosion":0,"erosion_expected":0.21,"erosion_reason":null,"narrowing":null,"narrowing_expected":null,"narrowing_reason":"not_in_svh","flags":[]},{"name":"PIP2","name_candidate":null,"confidence":0.97,"box":[280.0,200.0,160.0,160.0],"centre":[360.0,280.0],"erosion":0,"erosion_expected":0.0,"erosion_reason":null,"narrowing":0,"narrowing_expected":0.23,"narrowing_reason":null,"flags":[]},{"name":"PIP3","name_candidate":null,"confidence":0.97,"box":[440.0,200.0,160.0,160.0],"centre":[520.0,280.0],"erosion":null,"erosion_expected":null,"erosion_reason":"doubtful","narrowing":null,"narrowing_expected":null,"narrowing_reason":"doubtful","flags":[]},{"name":"PIP4","name_candidate":null,"confidence":0.97,"box":[600.0,200.0,160.0,160.0],"centre":[680.0,280.0],"erosion":1,"erosion_expected":1.21,"erosion_reason":null,"narrowing":0,"narrowing_expected":0.0,"narrowing_reason":null,"flags":[]},{"name":"PIP5","name_candidate":null,"confidence":0.97,"box":[760.0,200.0,160.0,160.0],"centre":[840.0,280.0],"erosion":1,"erosion_expected":1.36,"erosion_reason":null,"narrowing":1,"narrowing_expected":0.62,"narrowing_reason":null,"flags":[]},{"name":"MCP1","name_candidate":null,"confidence":0.97,"box":[120.0,680.0,160.0,160.0],"centre":[200.0,760.0],"erosion":0,"erosion_expected":0.35,"erosion_reason":null,"narrowing":0,"narrowing_expected":0.0,"narrowing_reason":null,"flags":[]},{"name":"MCP2","name_candidate":null,"confidence":0.97,"box":[280.0,680.0,160.0,160.0],"centre":[360.0,760.0],"erosion":null,"erosion_expected":null,"erosion_reason":"doubtful","narrowing":null,"narrowing_expected":null,"narrowing_reason":"doubtful","flags":[]},{"name":"MCP3","name_candidate":null,"confidence":0.97,"box":[440.0,680.0,160.0,160.0],"centre":[520.0,760.0],"erosion":0,"erosion_expected":0.0,"erosion_reason":null,"narrowing":0,"narrowing_expected":0.0,"narrowing_reason":null,"flags":[]},{"name":"MCP4","name_candidate":null,"confidence":0.97,"box":[600.0,680.0,160.0,160.0],"centre":[680.0,760.0],"erosion":0,"erosion_expected":0.0,"erosion_reason":null,"narrowing":0,"narrowing_expected":0.27,"narrowing_reason":null,"flags":[]},{"name":"MCP5","name_candidate":null,"confidence":0.97,"box":[760.0,680.0,160.0,160.0],"centre":[840.0,760.0],"erosion":0,"erosion_expected":0.0,"erosion_reason":null,"narrowing":1,"narrowing_expected":1.29,"narrowing_reason":null,"flags":[]}],"subtotals":{"erosion":{"score":2,"n_scored":8,"n_expected":10,"maximum":50,"attainable":40},"narrowing":{"score":2,"n_scored":7,"n_expected":9,"maximum":36,"attainable":28}},"n_scored":8,"n_expected":10,"flags":[],"versions":{"software":"0.0.0-simulated","engines":{"hand-score":"0000000000000000"}},"notice":"research use only, not a medical device"}', 'f3f711a988d42fe25dd68792022093783618f477e5b7938c880dc8bb7b94afc0');
INSERT INTO public.message VALUES (1, 1, '5681db8b-3863-54a1-bb2c-d74de19da06d', 'result', 1, 'scored', NULL, 'hand', 'L', '4421584122dd216cf985cf2dea0f1583', '6632250a7fa77f666e31a2875b29d709', NULL, 1, NULL, NULL, NULL, 1790000001, 1790000100, 599.9999046325684, 2, 2, 8, 10, 0, 1796042174.7187226, 'Anna R', '{"schema_version":1,"id":"5681db8b-3863-54a1-bb2c-d74de19da06d","sequence":1,"site":"clinic","room":"xray1","device":"box1","job":1,"film_sha256":"6edd25873d201278e2c5f28f8f6cecd096d62e1bc073f8bfc4c1660779905cde","study":"4421584122dd216cf985cf2dea0f1583","patient":"6632250a7fa77f666e31a2875b29d709","identifiers":null,"supersedes":null,"historical":false,"sending":1,"ledger":{"closed":1790000001.0,"closed_source":"close_event","picked_up":1790000001.006,"decoded":1790000001.06,"inferred":1790000001.588,"queued":1790000001.6,"sent":1790000001.6,"file_time":null,"stage_ms":{"decode":46.0,"find":110.0,"mask":140.0,"score":240.0},"clock_synchronised":true},"file":"film.jpg","limb_index":0,"status":"scored","reason":null,"advice":null,"limb":"hand","laterality":"L","laterality_source":"filename","view":"unknown","transform":null,"joints":[{"name":"IP1","name_candidate":null,"confidence":0.97,"box":[120.0,200.0,160.0,160.0],"centre":[200.0,280.0],"erosion":0,"erosion_expected":0.21,"erosion_reason":null,"narrowing":null,"narrowing_expected":null,"narrowing_reason":"not_in_svh","flags":[]},{"name":"PIP2","name_candidate":null,"confidence":0.97,"box":[280.0,200.0,160.0,160.0],"centre":[360.0,280.0],"erosion":0,"erosion_expected":0.0,"erosion_reason":null,"narrowing":0,"narrowing_expected":0.23,"narrowing_reason":null,"flags":[]},{"name":"PIP3","name_candidate":null,"confidence":0.97,"box":[440.0,200.0,160.0,160.0],"centre":[520.0,280.0],"erosion":null,"erosion_expected":null,"erosion_reason":"doubtful","narrowing":null,"narrowing_expected":null,"narrowing_reason":"doubtful","flags":[]},{"name":"PIP4","name_candidate":null,"confidence":0.97,"box":[600.0,200.0,160.0,160.0],"centre":[680.0,280.0],"erosion":1,"erosion_expected":1.21,"erosion_reason":null,"narrowing":0,"narrowing_expected":0.0,"narrowing_reason":null,"flags":[]},{"name":"PIP5","name_candidate":null,"confidence":0.97,"box":[760.0,200.0,160.0,160.0],"centre":[840.0,280.0],"erosion":1,"erosion_expected":1.36,"erosion_reason":null,"narrowing":1,"narrowing_expected":0.62,"narrowing_reason":null,"flags":[]},{"name":"MCP1","name_candidate":null,"confidence":0.97,"box":[120.0,680.0,160.0,160.0],"centre":[200.0,760.0],"erosion":0,"erosion_expected":0.35,"erosion_reason":null,"narrowing":0,"narrowing_expected":0.0,"narrowing_reason":null,"flags":[]},{"name":"MCP2","name_candidate":null,"confidence":0.97,"box":[280.0,680.0,160.0,160.0],"centre":[360.0,760.0],"erosion":null,"erosion_expected":null,"erosion_reason":"doubtful","narrowing":null,"narrowing_expected":null,"narrowing_reason":"doubtful","flags":[]},{"name":"MCP3","name_candidate":null,"confidence":0.97,"box":[440.0,680.0,160.0,160.0],"centre":[520.0,760.0],"erosion":0,"erosion_expected":0.0,"erosion_reason":null,"narrowing":0,"narrowing_expected":0.0,"narrowing_reason":null,"flags":[]},{"name":"MCP4","name_candidate":null,"confidence":0.97,"box":[600.0,680.0,160.0,160.0],"centre":[680.0,760.0],"erosion":0,"erosion_expected":0.0,"erosion_reason":null,"narrowing":0,"narrowing_expected":0.27,"narrowing_reason":null,"flags":[]},{"name":"MCP5","name_candidate":null,"confidence":0.97,"box":[760.0,680.0,160.0,160.0],"centre":[840.0,760.0],"erosion":0,"erosion_expected":0.0,"erosion_reason":null,"narrowing":1,"narrowing_expected":1.29,"narrowing_reason":null,"flags":[]}],"subtotals":{"erosion":{"score":2,"n_scored":8,"n_expected":10,"maximum":50,"attainable":40},"narrowing":{"score":2,"n_scored":7,"n_expected":9,"maximum":36,"attainable":28}},"n_scored":8,"n_expected":10,"flags":[],"versions":{"software":"0.0.0-simulated","engines":{"hand-score":"0000000000000000"}},"notice":"research use only, not a medical device"}', '92058ffb278219ede310ab75dc3fcba27fcf1a637df25a260f9492672d3e6198');
INSERT INTO public.message VALUES (5, 1, 'd2df994d-8884-574b-a0fa-b780d22b7b17', 'reject', 5, 'held', 'side_not_known', 'hand', NULL, '4421584122dd216cf985cf2dea0f1583', '6632250a7fa77f666e31a2875b29d709', NULL, 5, NULL, NULL, NULL, 1790000005, 1790000100, 599.9999046325684, NULL, NULL, 0, 10, 2, NULL, NULL, '{"schema_version":1,"id":"d2df994d-8884-574b-a0fa-b780d22b7b17","sequence":5,"site":"clinic","room":"xray1","device":"box1","job":5,"film_sha256":"33c186fdc14ef982c298eed507fbc9f46f5746636bde5a4e81ace894d5277244","study":"4421584122dd216cf985cf2dea0f1583","patient":"6632250a7fa77f666e31a2875b29d709","identifiers":null,"supersedes":null,"historical":false,"sending":1,"ledger":{"closed":1790000005.0,"closed_source":"close_event","picked_up":1790000005.006,"decoded":1790000005.06,"inferred":1790000005.588,"queued":1790000005.6,"sent":1790000005.6,"file_time":null,"stage_ms":{"decode":46.0,"find":110.0,"mask":140.0,"score":240.0},"clock_synchronised":true},"file":"film.jpg","limb_index":0,"status":"held","reason":"side_not_known","advice":"sharpedge release with its --side, or set accept_side_from_geometry","limb":"hand","laterality":null,"laterality_source":null,"view":"unknown","transform":null,"joints":[],"subtotals":null,"n_scored":0,"n_expected":10,"flags":[],"versions":{"software":"0.0.0-simulated","engines":{"hand-score":"0000000000000000"}},"notice":"research use only, not a medical device"}', '145442785e574e8b16ac7709f769d02db7801467a52aff4ce6285040af5c2da1');
INSERT INTO public.note VALUES ('messages_bad', '1');
INSERT INTO public.person VALUES (1, 'Anna R', '$argon2id$v=19$m=8,t=1,p=1$ib1WlooHRM98kDwMN46l7w$H3MQ7SN1zWdqJYc304Vm/9A8IpmqXjYD8KdJnaxl9VU', 'reader', true, 1796042174.675275, NULL, NULL);
INSERT INTO public.person VALUES (2, 'Anna R (2)', '', 'reader', true, 1796056381.9622219, 'https://sso.clinic', 's-1');
INSERT INTO public.picture VALUES (1, 1, '5681db8b-3863-54a1-bb2c-d74de19da06d', '\xffd8fffe004273686172706564676520726573756c742035363831646238622d333836332d353461312d626232632d6437346465313964613036643b2073696d756c61746564fffe001e73686172706564676520706c61636564203120302030203020312030ffe000104a46494600010100000100010000ffd9', '1 0 0 0 1 0', 1790000100);
INSERT INTO public.problem VALUES (1, 1790000100, 'nonsense', 'no topic of an appliance', 1);
INSERT INTO public.session VALUES ('6a3e4a3d1ad0c5de4f65ff2a1dc92efa18bd5d8c51535970f8e3557d93c7f7e3', 2, 'hs9fzxg03o_nXQHaZgwPKZ7j-ESqYVJ7', 1796056382.0262392, 1796056382.0262392, '');
INSERT INTO public.sign_in VALUES ('6a93cb2acfd3c43207cdd66236084e1ae556974dc736b95b9b7290a7f2da494b', 'state', 'nonce', 'verifier', 1796056382.0340898);
SELECT pg_catalog.setval('public.audit_pk_seq', 2, true);
SELECT pg_catalog.setval('public.correction_pk_seq', 1, true);
SELECT pg_catalog.setval('public.device_pk_seq', 2, true);
SELECT pg_catalog.setval('public.film_order_pk_seq', 1, true);
SELECT pg_catalog.setval('public.message_pk_seq', 5, true);
SELECT pg_catalog.setval('public.person_pk_seq', 2, true);
SELECT pg_catalog.setval('public.picture_pk_seq', 1, true);
SELECT pg_catalog.setval('public.problem_pk_seq', 1, true);
SELECT pg_catalog.setval('public.study_pk_seq', 1, false);
ALTER TABLE ONLY public.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);
ALTER TABLE ONLY public.audit
    ADD CONSTRAINT pk_audit PRIMARY KEY (pk);
ALTER TABLE ONLY public.correction
    ADD CONSTRAINT pk_correction PRIMARY KEY (pk);
ALTER TABLE ONLY public.device
    ADD CONSTRAINT pk_device PRIMARY KEY (pk);
ALTER TABLE ONLY public.film_order
    ADD CONSTRAINT pk_film_order PRIMARY KEY (pk);
ALTER TABLE ONLY public.message
    ADD CONSTRAINT pk_message PRIMARY KEY (pk);
ALTER TABLE ONLY public.note
    ADD CONSTRAINT pk_note PRIMARY KEY (name);
ALTER TABLE ONLY public.person
    ADD CONSTRAINT pk_person PRIMARY KEY (pk);
ALTER TABLE ONLY public.picture
    ADD CONSTRAINT pk_picture PRIMARY KEY (pk);
ALTER TABLE ONLY public.problem
    ADD CONSTRAINT pk_problem PRIMARY KEY (pk);
ALTER TABLE ONLY public.session
    ADD CONSTRAINT pk_session PRIMARY KEY (key);
ALTER TABLE ONLY public.sign_in
    ADD CONSTRAINT pk_sign_in PRIMARY KEY (key);
ALTER TABLE ONLY public.study
    ADD CONSTRAINT pk_study PRIMARY KEY (pk);
ALTER TABLE ONLY public.device
    ADD CONSTRAINT uq_device_name UNIQUE (name);
ALTER TABLE ONLY public.film_order
    ADD CONSTRAINT uq_film_order_correlation UNIQUE (correlation);
ALTER TABLE ONLY public.message
    ADD CONSTRAINT uq_message_device_pk_id UNIQUE (device_pk, id);
ALTER TABLE ONLY public.person
    ADD CONSTRAINT uq_person_name UNIQUE (name);
ALTER TABLE ONLY public.picture
    ADD CONSTRAINT uq_picture_device_pk_id UNIQUE (device_pk, id);
ALTER TABLE ONLY public.study
    ADD CONSTRAINT uq_study_device_pk_study UNIQUE (device_pk, study);
CREATE INDEX ix_correction_message_pk ON public.correction USING btree (message_pk);
CREATE INDEX ix_film_order_message_pk ON public.film_order USING btree (message_pk);
CREATE INDEX ix_message_attention_film_s_pk ON public.message USING btree (attention, film_s, pk);
CREATE INDEX ix_message_device_pk_attention_film_s_pk ON public.message USING btree (device_pk, attention, film_s, pk);
CREATE INDEX ix_message_device_pk_film_s_pk ON public.message USING btree (device_pk, film_s, pk);
CREATE INDEX ix_message_device_pk_supersedes ON public.message USING btree (device_pk, supersedes);
CREATE INDEX ix_message_film_s_pk ON public.message USING btree (film_s, pk);
CREATE INDEX ix_message_id ON public.message USING btree (id);
CREATE INDEX ix_message_job ON public.message USING btree (job);
CREATE INDEX ix_message_joined ON public.message USING btree (joined);
CREATE INDEX ix_message_patient ON public.message USING btree (patient);
CREATE INDEX ix_message_reason ON public.message USING btree (reason);
CREATE INDEX ix_message_status_film_s_pk ON public.message USING btree (status, film_s, pk);
CREATE INDEX ix_message_study ON public.message USING btree (study);
CREATE UNIQUE INDEX ix_person_issuer_subject ON public.person USING btree (issuer, subject);
CREATE INDEX ix_session_person_pk ON public.session USING btree (person_pk);
CREATE INDEX ix_study_study ON public.study USING btree (study);
ALTER TABLE ONLY public.correction
    ADD CONSTRAINT fk_correction_message_pk FOREIGN KEY (message_pk) REFERENCES public.message(pk);
ALTER TABLE ONLY public.film_order
    ADD CONSTRAINT fk_film_order_message_pk FOREIGN KEY (message_pk) REFERENCES public.message(pk);
ALTER TABLE ONLY public.message
    ADD CONSTRAINT fk_message_device_pk FOREIGN KEY (device_pk) REFERENCES public.device(pk);
ALTER TABLE ONLY public.picture
    ADD CONSTRAINT fk_picture_device_pk FOREIGN KEY (device_pk) REFERENCES public.device(pk);
ALTER TABLE ONLY public.session
    ADD CONSTRAINT fk_session_person_pk FOREIGN KEY (person_pk) REFERENCES public.person(pk);
ALTER TABLE ONLY public.study
    ADD CONSTRAINT fk_study_device_pk FOREIGN KEY (device_pk) REFERENCES public.device(pk);
