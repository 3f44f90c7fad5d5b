BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0002');
CREATE TABLE audit (
	pk INTEGER NOT NULL, 
	at_s FLOAT NOT NULL, 
	person TEXT NOT NULL, 
	action VARCHAR(32) NOT NULL, 
	object TEXT NOT NULL, 
	address TEXT NOT NULL, 
	CONSTRAINT pk_audit PRIMARY KEY (pk)
);
INSERT INTO "audit" VALUES(1,1.79605637140474700928e+09,'Anna R (2)','account added','reader; OpenID Connect, subject s-1','127.0.0.1');
INSERT INTO "audit" VALUES(2,1.79605637140530443188e+09,'Anna R (2)','sign-in','OpenID Connect, subject s-1','127.0.0.1');
CREATE TABLE correction (
	pk INTEGER NOT NULL, 
	message_pk INTEGER NOT NULL, 
	joint VARCHAR(8) NOT NULL, 
	erosion INTEGER, 
	narrowing INTEGER, 
	note TEXT NOT NULL, 
	person TEXT NOT NULL, 
	at_s FLOAT NOT NULL, 
	CONSTRAINT pk_correction PRIMARY KEY (pk), 
	CONSTRAINT fk_correction_message_pk FOREIGN KEY(message_pk) REFERENCES message (pk)
);
INSERT INTO "correction" VALUES(1,1,'MCP2',2,1,'seen','Anna R',1.79604216945116233828e+09);
CREATE TABLE device (
	pk INTEGER NOT NULL, 
	name VARCHAR NOT NULL, 
	state TEXT, 
	health TEXT, 
	seen_s FLOAT NOT NULL, 
	health_s FLOAT, 
	CONSTRAINT pk_device PRIMARY KEY (pk), 
	CONSTRAINT uq_device_name UNIQUE (name)
);
INSERT INTO "device" VALUES(1,'clinic/xray1/box1','{"schema_version":1,"state":"online","session":1,"site":"clinic","room":"xray1","device":"box1","since":1790000000.0,"protocol":"5","delivery":"receipt","versions":{"software":"0.0.0-simulated","engines":{"hand-score":"0000000000000000"}},"alerts":[],"journal_row":0,"journal_head":"","notice":"research use only, not a medical device"}','{"schema_version":1,"session":1,"at":1790000000.0,"uptime_s":86400.0,"folder_waiting":0,"folder_native":true,"folder_fault":null,"outbox_depth":0,"outbox_oldest_s":0.0,"pacs_depth":0,"pacs_oldest_s":0.0,"pacs_set_aside":0,"jobs":{"receipted":3,"held":1},"disk_free_mib":51200,"temperature_c":48.5,"worker_restarts":0,"broker_reconnects":0,"messages_dropped":0,"latency":{"count":3,"p50_ms":219.0,"p99_ms":299.0},"recheck":null,"journal_row":3,"journal_head":"0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a","notice":"research use only, not a medical device"}',1790000100.0,1790000100.0);
INSERT INTO "device" VALUES(2,'clinic/xray2/box2',NULL,NULL,1790000100.0,NULL);
CREATE TABLE film_order (
	pk INTEGER NOT NULL, 
	message_pk INTEGER NOT NULL, 
	command VARCHAR(16) NOT NULL, 
	limb VARCHAR(8), 
	side VARCHAR(1), 
	person TEXT NOT NULL, 
	correlation VARCHAR(32) NOT NULL, 
	asked_s FLOAT NOT NULL, 
	answered_s FLOAT, 
	done BOOLEAN, 
	detail TEXT, 
	CONSTRAINT pk_film_order PRIMARY KEY (pk), 
	CONSTRAINT fk_film_order_message_pk FOREIGN KEY(message_pk) REFERENCES message (pk), 
	CONSTRAINT uq_film_order_correlation UNIQUE (correlation)
);
INSERT INTO "film_order" VALUES(1,5,'release',NULL,'R','Anna R','ab',1.79604216945263576513e+09,NULL,NULL,NULL);
CREATE TABLE message (
	pk INTEGER NOT NULL, 
	device_pk INTEGER NOT NULL, 
	id VARCHAR NOT NULL, 
	kind VARCHAR(8) NOT NULL, 
	sequence BIGINT NOT NULL, 
	status VARCHAR(16) NOT NULL, 
	reason VARCHAR(64), 
	limb VARCHAR(8), 
	side VARCHAR(1), 
	study VARCHAR NOT NULL, 
	patient VARCHAR, 
	joined TEXT, 
	job BIGINT NOT NULL, 
	supersedes VARCHAR, 
	superseded_by VARCHAR, 
	decided VARCHAR(16), 
	film_s FLOAT NOT NULL, 
	received_s FLOAT NOT NULL, 
	latency_ms FLOAT, 
	erosion INTEGER, 
	narrowing INTEGER, 
	n_scored INTEGER NOT NULL, 
	n_expected INTEGER NOT NULL, 
	attention INTEGER NOT NULL, 
	read_s FLOAT, 
	read_by TEXT, 
	payload TEXT NOT NULL, 
	digest VARCHAR(64) NOT NULL, 
	CONSTRAINT pk_message PRIMARY KEY (pk), 
	CONSTRAINT fk_message_device_pk FOREIGN KEY(device_pk) REFERENCES device (pk), 
	CONSTRAINT uq_message_device_pk_id UNIQUE (device_pk, id)
);
INSERT INTO "message" VALUES(1,1,'5681db8b-3863-54a1-bb2c-d74de19da06d','result',1,'scored',NULL,'hand','L','4421584122dd216cf985cf2dea0f1583','6632250a7fa77f666e31a2875b29d709',NULL,1,NULL,NULL,NULL,1790000001.0,1790000100.0,5.99999904632568359375e+02,2,2,8,10,0,1.79604216945195221902e+09,'Anna R','{"schema_version":1,"id":"5681db8b-3863-54a1-bb2c-d74de19da06d","sequence":1,"site":"clinic","room":"xray1","device":"box1","job":1,"film_sha256":"6edd25873d201278e2c5f28f8f6cecd096d62e1bc073f8bfc4c1660779905cde","study":"4421584122dd216cf985cf2dea0f1583","patient":"6632250a7fa77f666e31a2875b29d709","identifiers":null,"supersedes":null,"historical":false,"sending":1,"ledger":{"closed":1790000001.0,"closed_source":"close_event","picked_up":1790000001.006,"decoded":1790000001.06,"inferred":1790000001.588,"queued":1790000001.6,"sent":1790000001.6,"file_time":null,"stage_ms":{"decode":46.0,"find":110.0,"mask":140.0,"score":240.0},"clock_synchronised":true},"file":"film.jpg","limb_index":0,"status":"scored","reason":null,"advice":null,"limb":"hand","laterality":"L","laterality_source":"filename","view":"unknown","transform":null,"joints":[{"name":"IP1","name_candidate":null,"confidence":0.97,"box":[120.0,200.0,160.0,160.0],"centre":[200.0,280.0],"erosion":0,"erosion_expected":0.21,"erosion_reason":null,"narrowing":null,"narrowing_expected":null,"narrowing_reason":"not_in_svh","flags":[]},{"name":"PIP2","name_candidate":null,"confidence":0.97,"box":[280.0,200.0,160.0,160.0],"centre":[360.0,280.0],"erosion":0,"erosion_expected":0.0,"erosion_reason":null,"narrowing":0,"narrowing_expected":0.23,"narrowing_reason":null,"flags":[]},{"name":"PIP3","name_candidate":null,"confidence":0.97,"box":[440.0,200.0,160.0,160.0],"centre":[520.0,280.0],"erosion":null,"erosion_expected":null,"erosion_reason":"doubtful","narrowing":null,"narrowing_expected":null,"narrowing_reason":"doubtful","flags":[]},{"name":"PIP4","name_candidate":null,"confidence":0.97,"box":[600.0,200.0,160.0,160.0],"centre":[680.0,280.0],"erosion":1,"erosion_expected":1.21,"erosion_reason":null,"narrowing":0,"narrowing_expected":0.0,"narrowing_reason":null,"flags":[]},{"name":"PIP5","name_candidate":null,"confidence":0.97,"box":[760.0,200.0,160.0,160.0],"centre":[840.0,280.0],"erosion":1,"erosion_expected":1.36,"erosion_reason":null,"narrowing":1,"narrowing_expected":0.62,"narrowing_reason":null,"flags":[]},{"name":"MCP1","name_candidate":null,"confidence":0.97,"box":[120.0,680.0,160.0,160.0],"centre":[200.0,760.0],"erosion":0,"erosion_expected":0.35,"erosion_reason":null,"narrowing":0,"narrowing_expected":0.0,"narrowing_reason":null,"flags":[]},{"name":"MCP2","name_candidate":null,"confidence":0.97,"box":[280.0,680.0,160.0,160.0],"centre":[360.0,760.0],"erosion":null,"erosion_expected":null,"erosion_reason":"doubtful","narrowing":null,"narrowing_expected":null,"narrowing_reason":"doubtful","flags":[]},{"name":"MCP3","name_candidate":null,"confidence":0.97,"box":[440.0,680.0,160.0,160.0],"centre":[520.0,760.0],"erosion":0,"erosion_expected":0.0,"erosion_reason":null,"narrowing":0,"narrowing_expected":0.0,"narrowing_reason":null,"flags":[]},{"name":"MCP4","name_candidate":null,"confidence":0.97,"box":[600.0,680.0,160.0,160.0],"centre":[680.0,760.0],"erosion":0,"erosion_expected":0.0,"erosion_reason":null,"narrowing":0,"narrowing_expected":0.27,"narrowing_reason":null,"flags":[]},{"name":"MCP5","name_candidate":null,"confidence":0.97,"box":[760.0,680.0,160.0,160.0],"centre":[840.0,760.0],"erosion":0,"erosion_expected":0.0,"erosion_reason":null,"narrowing":1,"narrowing_expected":1.29,"narrowing_reason":null,"flags":[]}],"subtotals":{"erosion":{"score":2,"n_scored":8,"n_expected":10,"maximum":50,"attainable":40},"narrowing":{"score":2,"n_scored":7,"n_expected":9,"maximum":36,"attainable":28}},"n_scored":8,"n_expected":10,"flags":[],"versions":{"software":"0.0.0-simulated","engines":{"hand-score":"0000000000000000"}},"notice":"research use only, not a medical device"}','92058ffb278219ede310ab75dc3fcba27fcf1a637df25a260f9492672d3e6198');
INSERT INTO "message" VALUES(2,1,'094c7e69-49e6-5114-be75-746d49636d87','result',2,'scored',NULL,'hand','L','4421584122dd216cf985cf2dea0f1583','6632250a7fa77f666e31a2875b29d709',NULL,2,NULL,'e3769292-da42-5fd2-8cda-fe29cf6ceb00',NULL,1790000002.0,1790000100.0,5.99999904632568359375e+02,3,4,9,10,0,NULL,NULL,'{"schema_version":1,"id":"094c7e69-49e6-5114-be75-746d49636d87","sequence":2,"site":"clinic","room":"xray1","device":"box1","job":2,"film_sha256":"838a53b4f000fdc4c2a78fb2009fc48017edef4d5aa69db6674c349a0bf9a208","study":"4421584122dd216cf985cf2dea0f1583","patient":"6632250a7fa77f666e31a2875b29d709","identifiers":null,"supersedes":null,"historical":false,"sending":1,"ledger":{"closed":1790000002.0,"closed_source":"close_event","picked_up":1790000002.006,"decoded":1790000002.06,"inferred":1790000002.588,"queued":1790000002.6,"sent":1790000002.6,"file_time":null,"stage_ms":{"decode":46.0,"find":110.0,"mask":140.0,"score":240.0},"clock_synchronised":true},"file":"film.jpg","limb_index":0,"status":"scored","reason":null,"advice":null,"limb":"hand","laterality":"L","laterality_source":"filename","view":"unknown","transform":null,"joints":[{"name":"IP1","name_candidate":null,"confidence":0.97,"box":[120.0,200.0,160.0,160.0],"centre":[200.0,280.0],"erosion":2,"erosion_expected":1.65,"erosion_reason":null,"narrowing":null,"narrowing_expected":null,"narrowing_reason":"not_in_svh","flags":[]},{"name":"PIP2","name_candidate":null,"confidence":0.97,"box":[280.0,200.0,160.0,160.0],"centre":[360.0,280.0],"erosion":0,"erosion_expected":0.19,"erosion_reason":null,"narrowing":0,"narrowing_expected":0.0,"narrowing_reason":null,"flags":[]},{"name":"PIP3","name_candidate":null,"confidence":0.97,"box":[440.0,200.0,160.0,160.0],"centre":[520.0,280.0],"erosion":0,"erosion_expected":0.06,"erosion_reason":null,"narrowing":0,"narrowing_expected":0.0,"narrowing_reason":null,"flags":[]},{"name":"PIP4","name_candidate":null,"confidence":0.97,"box":[600.0,200.0,160.0,160.0],"centre":[680.0,280.0],"erosion":0,"erosion_expected":0.4,"erosion_reason":null,"narrowing":1,"narrowing_expected":1.04,"narrowing_reason":null,"flags":[]},{"name":"PIP5","name_candidate":null,"confidence":0.97,"box":[760.0,200.0,160.0,160.0],"centre":[840.0,280.0],"erosion":0,"erosion_expected":0.0,"erosion_reason":null,"narrowing":0,"narrowing_expected":0.0,"narrowing_reason":null,"flags":[]},{"name":"MCP1","name_candidate":null,"confidence":0.97,"box":[120.0,680.0,160.0,160.0],"centre":[200.0,760.0],"erosion":0,"erosion_expected":0.31,"erosion_reason":null,"narrowing":0,"narrowing_expected":0.05,"narrowing_reason":null,"flags":[]},{"name":"MCP2","name_candidate":null,"confidence":0.97,"box":[280.0,680.0,160.0,160.0],"centre":[360.0,760.0],"erosion":null,"erosion_expected":null,"erosion_reason":"doubtful","narrowing":null,"narrowing_expected":null,"narrowing_reason":"doubtful","flags":[]},{"name":"MCP3","name_candidate":null,"confidence":0.97,"box":[440.0,680.0,160.0,160.0],"centre":[520.0,760.0],"erosion":0,"erosion_expected":0.01,"erosion_reason":null,"narrowing":1,"narrowing_expected":1.14,"narrowing_reason":null,"flags":[]},{"name":"MCP4","name_candidate":null,"confidence":0.97,"box":[600.0,680.0,160.0,160.0],"centre":[680.0,760.0],"erosion":0,"erosion_expected":0.24,"erosion_reason":null,"narrowing":1,"narrowing_expected":1.33,"narrowing_reason":null,"flags":[]},{"name":"MCP5","name_candidate":null,"confidence":0.97,"box":[760.0,680.0,160.0,160.0],"centre":[840.0,760.0],"erosion":1,"erosion_expected":0.88,"erosion_reason":null,"narrowing":1,"narrowing_expected":1.37,"narrowing_reason":null,"flags":[]}],"subtotals":{"erosion":{"score":3,"n_scored":9,"n_expected":10,"maximum":50,"attainable":45},"narrowing":{"score":4,"n_scored":8,"n_expected":9,"maximum":36,"attainable":32}},"n_scored":9,"n_expected":10,"flags":[],"versions":{"software":"0.0.0-simulated","engines":{"hand-score":"0000000000000000"}},"notice":"research use only, not a medical device"}','5aa335618aa0bd2527b7382a9b592d418cf7d0f09baf4fd1b1f2fd892e1c2805');
INSERT INTO "message" VALUES(3,1,'e3769292-da42-5fd2-8cda-fe29cf6ceb00','result',3,'scored',NULL,'hand','L','4421584122dd216cf985cf2dea0f1583','6632250a7fa77f666e31a2875b29d709',NULL,3,'094c7e69-49e6-5114-be75-746d49636d87',NULL,NULL,1790000003.0,1790000100.0,5.99999904632568359375e+02,2,3,10,10,1,NULL,NULL,'{"schema_version":1,"id":"e3769292-da42-5fd2-8cda-fe29cf6ceb00","sequence":3,"site":"clinic","room":"xray1","device":"box1","job":3,"film_sha256":"18385143926bba62e90a2f169dfd48aba00615ebe6148a1e2f52c2f3a864f3b7","study":"4421584122dd216cf985cf2dea0f1583","patient":"6632250a7fa77f666e31a2875b29d709","identifiers":null,"supersedes":"094c7e69-49e6-5114-be75-746d49636d87","historical":false,"sending":1,"ledger":{"closed":1790000003.0,"closed_source":"close_event","picked_up":1790000003.006,"decoded":1790000003.06,"inferred":1790000003.588,"queued":1790000003.6,"sent":1790000003.6,"file_time":null,"stage_ms":{"decode":46.0,"find":110.0,"mask":140.0,"score":240.0},"clock_synchronised":true},"file":"film.jpg","limb_index":0,"status":"scored","reason":null,"advice":null,"limb":"hand","laterality":"L","laterality_source":"filename","view":"unknown","transform":null,"joints":[{"name":"IP1","name_candidate":null,"confidence":0.97,"box":[120.0,200.0,160.0,160.0],"centre":[200.0,280.0],"erosion":0,"erosion_expected":0.0,"erosion_reason":null,"narrowing":null,"narrowing_expected":null,"narrowing_reason":"not_in_svh","flags":[]},{"name":"PIP2","name_candidate":null,"confidence":0.97,"box":[280.0,200.0,160.0,160.0],"centre":[360.0,280.0],"erosion":0,"erosion_expected":0.0,"erosion_reason":null,"narrowing":0,"narrowing_expected":0.27,"narrowing_reason":null,"flags":[]},{"name":"PIP3","name_candidate":null,"confidence":0.97,"box":[440.0,200.0,160.0,160.0],"centre":[520.0,280.0],"erosion":0,"erosion_expected":0.4,"erosion_reason":null,"narrowing":0,"narrowing_expected":0.27,"narrowing_reason":null,"flags":[]},{"name":"PIP4","name_candidate":null,"confidence":0.97,"box":[600.0,200.0,160.0,160.0],"centre":[680.0,280.0],"erosion":0,"erosion_expected":0.0,"erosion_reason":null,"narrowing":0,"narrowing_expected":0.29,"narrowing_reason":null,"flags":[]},{"name":"PIP5","name_candidate":null,"confidence":0.97,"box":[760.0,200.0,160.0,160.0],"centre":[840.0,280.0],"erosion":0,"erosion_expected":0.14,"erosion_reason":null,"narrowing":0,"narrowing_expected":0.21,"narrowing_reason":null,"flags":[]},{"name":"MCP1","name_candidate":null,"confidence":0.97,"box":[120.0,680.0,160.0,160.0],"centre":[200.0,760.0],"erosion":0,"erosion_expected":0.0,"erosion_reason":null,"narrowing":1,"narrowing_expected":0.98,"narrowing_reason":null,"flags":[]},{"name":"MCP2","name_candidate":null,"confidence":0.97,"box":[280.0,680.0,160.0,160.0],"centre":[360.0,760.0],"erosion":1,"erosion_expected":1.17,"erosion_reason":null,"narrowing":1,"narrowing_expected":0.92,"narrowing_reason":null,"flags":[]},{"name":"MCP3","name_candidate":null,"confidence":0.97,"box":[440.0,680.0,160.0,160.0],"centre":[520.0,760.0],"erosion":1,"erosion_expected":1.35,"erosion_reason":null,"narrowing":1,"narrowing_expected":0.68,"narrowing_reason":null,"flags":[]},{"name":"MCP4","name_candidate":null,"confidence":0.97,"box":[600.0,680.0,160.0,160.0],"centre":[680.0,760.0],"erosion":0,"erosion_expected":0.37,"erosion_reason":null,"narrowing":0,"narrowing_expected":0.1,"narrowing_reason":null,"flags":[]},{"name":"MCP5","name_candidate":null,"confidence":0.97,"box":[760.0,680.0,160.0,160.0],"centre":[840.0,760.0],"erosion":0,"erosion_expected":0.0,"erosion_reason":null,"narrowing":0,"narrowing_expected":0.07,"narrowing_reason":null,"flags":[]}],"subtotals":{"erosion":{"score":2,"n_scored":10,"n_expected":10,"maximum":50,"attainable":50},"narrowing":{"score":3,"n_scored":9,"n_expected":9,"maximum":36,"attainable":36}},"n_scored":10,"n_expected":10,"flags":[],"versions":{"software":"0.0.0-simulated","engines":{"hand-score":"0000000000000000"}},"notice":"research use only, not a medical device"}','ec3852dfb56a680159bcf23bbca628a585697baf3f1da1b0ae4a5bde146db563');
INSERT INTO "message" VALUES(4,2,'11a47850-28ff-51eb-a384-fa67e6bf9cc3','result',1,'scored',NULL,'hand','L','4421584122dd216cf985cf2dea0f1583','6632250a7fa77f666e31a2875b29d709',NULL,1,NULL,NULL,NULL,1790000001.0,1790000100.0,5.99999904632568359375e+02,2,2,8,10,1,NULL,NULL,'{"schema_version":1,"id":"11a47850-28ff-51eb-a384-fa67e6bf9cc3","sequence":1,"site":"clinic","room":"xray2","device":"box2","job":1,"film_sha256":"0da35cb6da61d5e50d04909eb9c1783f197bc0428ba167d63d09a14fe4334146","study":"4421584122dd216cf985cf2dea0f1583","patient":"6632250a7fa77f666e31a2875b29d709","identifiers":null,"supersedes":null,"historical":false,"sending":1,"ledger":{"closed":1790000001.0,"closed_source":"close_event","picked_up":1790000001.006,"decoded":1790000001.06,"inferred":1790000001.588,"queued":1790000001.6,"sent":1790000001.6,"file_time":null,"stage_ms":{"decode":46.0,"find":110.0,"mask":140.0,"score":240.0},"clock_synchronised":true},"file":"film.jpg","limb_index":0,"status":"scored","reason":null,"advice":null,"limb":"hand","laterality":"L","laterality_source":"filename","view":"unknown","transform":null,"joints":[{"name":"IP1","name_candidate":null,"confidence":0.97,"box":[120.0,200.0,160.0,160.0],"centre":[200.0,280.0],"erosion":0,"erosion_expected":0.21,"erosion_reason":null,"narrowing":null,"narrowing_expected":null,"narrowing_reason":"not_in_svh","flags":[]},{"name":"PIP2","name_candidate":null,"confidence":0.97,"box":[280.0,200.0,160.0,160.0],"centre":[360.0,280.0],"erosion":0,"erosion_expected":0.0,"erosion_reason":null,"narrowing":0,"narrowing_expected":0.23,"narrowing_reason":null,"flags":[]},{"name":"PIP3","name_candidate":null,"confidence":0.97,"box":[440.0,200.0,160.0,160.0],"centre":[520.0,280.0],"erosion":null,"erosion_expected":null,"erosion_reason":"doubtful","narrowing":null,"narrowing_expected":null,"narrowing_reason":"doubtful","flags":[]},{"name":"PIP4","name_candidate":null,"confidence":0.97,"box":[600.0,200.0,160.0,160.0],"centre":[680.0,280.0],"erosion":1,"erosion_expected":1.21,"erosion_reason":null,"narrowing":0,"narrowing_expected":0.0,"narrowing_reason":null,"flags":[]},{"name":"PIP5","name_candidate":null,"confidence":0.97,"box":[760.0,200.0,160.0,160.0],"centre":[840.0,280.0],"erosion":1,"erosion_expected":1.36,"erosion_reason":null,"narrowing":1,"narrowing_expected":0.62,"narrowing_reason":null,"flags":[]},{"name":"MCP1","name_candidate":null,"confidence":0.97,"box":[120.0,680.0,160.0,160.0],"centre":[200.0,760.0],"erosion":0,"erosion_expected":0.35,"erosion_reason":null,"narrowing":0,"narrowing_expected":0.0,"narrowing_reason":null,"flags":[]},{"name":"MCP2","name_candidate":null,"confidence":0.97,"box":[280.0,680.0,160.0,160.0],"centre":[360.0,760.0],"erosion":null,"erosion_expected":null,"erosion_reason":"doubtful","narrowing":null,"narrowing_expected":null,"narrowing_reason":"doubtful","flags":[]},{"name":"MCP3","name_candidate":null,"confidence":0.97,"box":[440.0,680.0,160.0,160.0],"centre":[520.0,760.0],"erosion":0,"erosion_expected":0.0,"erosion_reason":null,"narrowing":0,"narrowing_expected":0.0,"narrowing_reason":null,"flags":[]},{"name":"MCP4","name_candidate":null,"confidence":0.97,"box":[600.0,680.0,160.0,160.0],"centre":[680.0,760.0],"erosion":0,"erosion_expected":0.0,"erosion_reason":null,"narrowing":0,"narrowing_expected":0.27,"narrowing_reason":null,"flags":[]},{"name":"MCP5","name_candidate":null,"confidence":0.97,"box":[760.0,680.0,160.0,160.0],"centre":[840.0,760.0],"erosion":0,"erosion_expected":0.0,"erosion_reason":null,"narrowing":1,"narrowing_expected":1.29,"narrowing_reason":null,"flags":[]}],"subtotals":{"erosion":{"score":2,"n_scored":8,"n_expected":10,"maximum":50,"attainable":40},"narrowing":{"score":2,"n_scored":7,"n_expected":9,"maximum":36,"attainable":28}},"n_scored":8,"n_expected":10,"flags":[],"versions":{"software":"0.0.0-simulated","engines":{"hand-score":"0000000000000000"}},"notice":"research use only, not a medical device"}','f3f711a988d42fe25dd68792022093783618f477e5b7938c880dc8bb7b94afc0');
INSERT INTO "message" VALUES(5,1,'d2df994d-8884-574b-a0fa-b780d22b7b17','reject',5,'held','side_not_known','hand',NULL,'4421584122dd216cf985cf2dea0f1583','6632250a7fa77f666e31a2875b29d709',NULL,5,NULL,NULL,NULL,1790000005.0,1790000100.0,5.99999904632568359375e+02,NULL,NULL,0,10,2,NULL,NULL,'{"schema_version":1,"id":"d2df994d-8884-574b-a0fa-b780d22b7b17","sequence":5,"site":"clinic","room":"xray1","device":"box1","job":5,"film_sha256":"33c186fdc14ef982c298eed507fbc9f46f5746636bde5a4e81ace894d5277244","study":"4421584122dd216cf985cf2dea0f1583","patient":"6632250a7fa77f666e31a2875b29d709","identifiers":null,"supersedes":null,"historical":false,"sending":1,"ledger":{"closed":1790000005.0,"closed_source":"close_event","picked_up":1790000005.006,"decoded":1790000005.06,"inferred":1790000005.588,"queued":1790000005.6,"sent":1790000005.6,"file_time":null,"stage_ms":{"decode":46.0,"find":110.0,"mask":140.0,"score":240.0},"clock_synchronised":true},"file":"film.jpg","limb_index":0,"status":"held","reason":"side_not_known","advice":"sharpedge release with its --side, or set accept_side_from_geometry","limb":"hand","laterality":null,"laterality_source":null,"view":"unknown","transform":null,"joints":[],"subtotals":null,"n_scored":0,"n_expected":10,"flags":[],"versions":{"software":"0.0.0-simulated","engines":{"hand-score":"0000000000000000"}},"notice":"research use only, not a medical device"}','145442785e574e8b16ac7709f769d02db7801467a52aff4ce6285040af5c2da1');
CREATE TABLE note (
	name VARCHAR(32) NOT NULL, 
	value TEXT NOT NULL, 
	CONSTRAINT pk_note PRIMARY KEY (name)
);
INSERT INTO "note" VALUES('messages_bad','1');
CREATE TABLE person (
	pk INTEGER NOT NULL, 
	name TEXT NOT NULL, 
	password TEXT NOT NULL, 
	role VARCHAR(16) NOT NULL, 
	active BOOLEAN NOT NULL, 
	created_s FLOAT NOT NULL, issuer TEXT, subject TEXT, 
	CONSTRAINT pk_person PRIMARY KEY (pk), 
	CONSTRAINT uq_person_name UNIQUE (name)
);
INSERT INTO "person" VALUES(1,'Anna R','$argon2id$v=19$m=8,t=1,p=1$PGIwlYZuBtzGjjSRFpifcA$HTwg7IrE78pk5bxqnVQW+fljP5BhY0fObEydHigEp8M','reader',1,1.79604216940724277498e+09,NULL,NULL);
INSERT INTO "person" VALUES(2,'Anna R (2)','','reader',1,1.79605637140217471118e+09,'https://sso.clinic','s-1');
CREATE TABLE picture (
	pk INTEGER NOT NULL, 
	device_pk INTEGER NOT NULL, 
	id VARCHAR NOT NULL, 
	jpeg BLOB NOT NULL, 
	placed TEXT, 
	received_s FLOAT NOT NULL, 
	CONSTRAINT pk_picture PRIMARY KEY (pk), 
	CONSTRAINT fk_picture_device_pk FOREIGN KEY(device_pk) REFERENCES device (pk), 
	CONSTRAINT uq_picture_device_pk_id UNIQUE (device_pk, id)
);
INSERT INTO "picture" VALUES(1,1,'5681db8b-3863-54a1-bb2c-d74de19da06d',X'FFD8FFFE004273686172706564676520726573756C742035363831646238622D333836332D353461312D626232632D6437346465313964613036643B2073696D756C61746564FFFE001E73686172706564676520706C61636564203120302030203020312030FFE000104A46494600010100000100010000FFD9','1 0 0 0 1 0',1790000100.0);
CREATE TABLE problem (
	pk INTEGER NOT NULL, 
	at_s FLOAT NOT NULL, 
	topic TEXT NOT NULL, 
	what TEXT NOT NULL, 
	bytes INTEGER NOT NULL, 
	CONSTRAINT pk_problem PRIMARY KEY (pk)
);
INSERT INTO "problem" VALUES(1,1790000100.0,'nonsense','no topic of an appliance',1);
CREATE TABLE session (
	"key" VARCHAR(64) NOT NULL, 
	person_pk INTEGER NOT NULL, 
	csrf VARCHAR(64) NOT NULL, 
	begun_s FLOAT NOT NULL, 
	seen_s FLOAT NOT NULL, 
	said TEXT NOT NULL, 
	CONSTRAINT pk_session PRIMARY KEY ("key"), 
	CONSTRAINT fk_session_person_pk FOREIGN KEY(person_pk) REFERENCES person (pk)
);
INSERT INTO "session" VALUES('5701c7aa33815325be5b12e524162dd92ca58452d428166b27db1becbb61de37',2,'n34cr67BG09LNQ22R5VB63owF6HfD0w9',1.7960563714583277702e+09,1.7960563714583277702e+09,'');
CREATE TABLE sign_in (
	"key" VARCHAR(64) NOT NULL, 
	state VARCHAR(64) NOT NULL, 
	nonce VARCHAR(64) NOT NULL, 
	verifier VARCHAR(64) NOT NULL, 
	begun_s FLOAT NOT NULL, 
	CONSTRAINT pk_sign_in PRIMARY KEY ("key")
);
INSERT INTO "sign_in" VALUES('9ddc2845d0bdab84b1e49543695e9b41e6d66640d00a418e87f9bff79c512a9b','state','nonce','verifier',1.79605637151814913742e+09);
CREATE TABLE study (
	pk INTEGER NOT NULL, 
	device_pk INTEGER NOT NULL, 
	study VARCHAR NOT NULL, 
	payload TEXT NOT NULL, 
	changed_s FLOAT NOT NULL, 
	CONSTRAINT pk_study PRIMARY KEY (pk), 
	CONSTRAINT fk_study_device_pk FOREIGN KEY(device_pk) REFERENCES device (pk), 
	CONSTRAINT uq_study_device_pk_study UNIQUE (device_pk, study)
);
CREATE INDEX ix_message_attention_film_s_pk ON message (attention, film_s, pk);
CREATE INDEX ix_message_device_pk_attention_film_s_pk ON message (device_pk, attention, film_s, pk);
CREATE INDEX ix_message_device_pk_film_s_pk ON message (device_pk, film_s, pk);
CREATE INDEX ix_message_device_pk_supersedes ON message (device_pk, supersedes);
CREATE INDEX ix_message_film_s_pk ON message (film_s, pk);
CREATE INDEX ix_message_id ON message (id);
CREATE INDEX ix_message_job ON message (job);
CREATE INDEX ix_message_joined ON message (joined);
CREATE INDEX ix_message_patient ON message (patient);
CREATE INDEX ix_message_reason ON message (reason);
CREATE INDEX ix_message_status_film_s_pk ON message (status, film_s, pk);
CREATE INDEX ix_message_study ON message (study);
CREATE INDEX ix_session_person_pk ON session (person_pk);
CREATE INDEX ix_study_study ON study (study);
CREATE INDEX ix_correction_message_pk ON correction (message_pk);
CREATE INDEX ix_film_order_message_pk ON film_order (message_pk);
CREATE UNIQUE INDEX ix_person_issuer_subject ON person (issuer, subject);
COMMIT;
