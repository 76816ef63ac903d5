package comply

// Strength says how far a log platform can support a criterion at all.
type Strength string

// The strengths.
const (
	Strong      Strength = "strong"      // machine evidence answers most of it
	Supporting  Strength = "supporting"  // machine evidence is a part
	Attestation Strength = "attestation" // people and documents answer it, not logs
)

// A criterion is one of the Trust Services Criteria, by its identifier. The
// paraphrase is ours: the text of the AICPA is under copyright and is not here.
type criterion struct {
	ID         string
	Category   string
	Paraphrase string
	Strength   Strength
	// Tests are those of this version that speak to the criterion; Wanting says
	// what else would have to be shown before it could pass.
	Tests   []string
	Wanting string
}

const (
	common       = "Common criteria"
	availability = "Availability"
	processing   = "Processing integrity"
	confidential = "Confidentiality"
	privacy      = "Privacy"
)

// catalogue is the list of the 61 criteria, in their order.
var catalogue = []criterion{
	{"CC1.1", common, "Ethics are lived, not just written", Attestation, nil, "code of conduct, acknowledgements"},
	{"CC1.2", common, "Oversight is independent of management", Attestation, nil, "minutes of the oversight body"},
	{"CC1.3", common, "Lines of authority are clear", Attestation, nil, "organisation chart, role descriptions"},
	{"CC1.4", common, "Competent people are found, trained and kept", Supporting, nil, "drill and training records by role"},
	{"CC1.5", common, "Individuals answer for their control duties", Supporting, nil, "an owner for each control, and what is overdue"},
	{"CC2.1", common, "Controls run on information of good quality", Strong, []string{"COV-3", "COV-4", "INT-2"}, "inventory of systems held against live sources; field quality; clock skew"},
	{"CC2.2", common, "Insiders are told what they need to know", Supporting, nil, "delivery receipts of alerts and escalations"},
	{"CC2.3", common, "Outsiders are told what they need to know", Attestation, nil, "status page and notification log"},
	{"CC3.1", common, "Objectives are clear", Attestation, nil, "documented objectives"},
	{"CC3.2", common, "Risks are found and analysed", Attestation, nil, "risk register"},
	{"CC3.3", common, "Fraud is considered", Supporting, nil, "review of unusual administration and log access"},
	{"CC3.4", common, "Changes that shift risk are noticed", Supporting, nil, "monthly review of new sources, egress hosts and administrators"},
	{"CC4.1", common, "It is checked, again and again, that controls exist and work", Strong, []string{"INT-1", "INT-2"}, "run history of all control tests"},
	{"CC4.2", common, "Deficiencies are reported and fixed in time", Strong, nil, "deficiencies with owner, due date and closure"},
	{"CC5.1", common, "Controls are chosen to reduce risk", Attestation, nil, "matrix of risks and controls"},
	{"CC5.2", common, "General controls over technology exist", Supporting, []string{"CHG-1", "ACC-9"}, "approvals of changes; access reviews"},
	{"CC5.3", common, "Policy is written and put to work", Supporting, []string{"CHG-1"}, "an approved policy whose hash is that of the configuration in force"},
	{"CC6.1", common, "Logical access protects what is valuable", Strong, []string{"ACC-5", "ACC-9"}, "sign-in by person; list of users and roles as of a date"},
	{"CC6.2", common, "Users are authorised before they get access, and lose it when they should", Strong, nil, "joiners and leavers held against the staff register"},
	{"CC6.3", common, "Roles follow least privilege and divide duties", Strong, nil, "changes of roles with their approver"},
	{"CC6.4", common, "Physical access is limited", Supporting, nil, "badge logs, or the report of the hosting provider"},
	{"CC6.5", common, "Protection ends only after data cannot be recovered", Strong, []string{"RET-3"}, "destruction certificates with approvals"},
	{"CC6.6", common, "The boundary is defended against outsiders", Strong, nil, "denials at ingress and egress, mTLS failures, detection rules"},
	{"CC6.7", common, "Data in motion and on its way out are controlled", Strong, []string{"ACC-9"}, "census of TLS on every path; log of exports"},
	{"CC6.8", common, "Unwanted software is stopped or caught", Strong, nil, "admission, image and process records"},
	{"CC7.1", common, "Configuration changes that open holes, and new weaknesses, are detected", Strong, nil, "configuration differences against a baseline; scanner results"},
	{"CC7.2", common, "Systems are watched for anomalies, which are analysed", Strong, []string{"COV-3", "COV-4"}, "detection rules with tests; alerts with their dispositions"},
	{"CC7.3", common, "It is decided whether events are incidents", Strong, nil, "triage of each alert with time and person"},
	{"CC7.4", common, "Incidents are handled by a programme", Strong, nil, "incident dossiers; a drill"},
	{"CC7.5", common, "Operations recover, and lessons are learnt", Strong, nil, "post-incident reviews with their actions closed"},
	{"CC8.1", common, "Changes are authorised, tested and approved", Strong, []string{"CHG-1"}, "deployments seen in logs held against tickets"},
	{"CC9.1", common, "The risk of disruption is reduced", Attestation, nil, "continuity plans, insurance"},
	{"CC9.2", common, "Vendors are managed", Supporting, nil, "calls to each third party; vendor reviews"},
	{"A1.1", availability, "Capacity is watched and planned", Strong, nil, "forecast of capacity; saturation"},
	{"A1.2", availability, "Backups and recovery infrastructure are run", Strong, nil, "backup runs and the recovery point they reach"},
	{"A1.3", availability, "Recovery is tested", Strong, nil, "a restore that verifies, signed"},
	{"C1.1", confidential, "Confidential information is known and kept", Strong, []string{"ACC-5", "ACC-9", "INT-1"}, "class of data by source; retention held against the schedule"},
	{"C1.2", confidential, "Confidential information is disposed of", Strong, []string{"RET-3"}, "destruction certificates with approvals"},
	{"PI1.1", processing, "Processing is defined and communicated", Supporting, nil, "register of parsers and schemas by version"},
	{"PI1.2", processing, "Inputs are complete and accurate", Strong, []string{"COV-4"}, "counts of an independent second source; field quality"},
	{"PI1.3", processing, "Processing is complete and accurate", Strong, []string{"COV-4"}, "tests of the parsers in force"},
	{"PI1.4", processing, "Output is complete, accurate and in time", Strong, nil, "delivery receipts; a repeated run with the same result"},
	{"PI1.5", processing, "What is stored is stored completely and accurately", Strong, []string{"INT-1", "INT-2"}, "retention held against the schedule; consistency from day to day"},
	{"P1.1", privacy, "People are told how their data are used", Attestation, nil, "privacy notice"},
	{"P2.1", privacy, "People are given choices", Attestation, nil, "consent records"},
	{"P3.1", privacy, "Only data that fit the purpose are collected", Supporting, nil, "kinds of personal data by source, found against declared"},
	{"P3.2", privacy, "Explicit consent is had where needed", Attestation, nil, "consent records"},
	{"P4.1", privacy, "Data are used for the stated purpose only", Supporting, []string{"ACC-5"}, "purpose of sensitive queries"},
	{"P4.2", privacy, "Data are kept as long as promised", Strong, nil, "oldest record held against the schedule"},
	{"P4.3", privacy, "Data are disposed of securely", Strong, []string{"RET-3"}, "destruction certificates with approvals"},
	{"P5.1", privacy, "People can see their data", Supporting, nil, "access requests with their answers"},
	{"P5.2", privacy, "People can correct their data", Attestation, nil, "correction requests; log records are annotated, never edited"},
	{"P6.1", privacy, "Data are disclosed with consent", Attestation, nil, "consent records"},
	{"P6.2", privacy, "Authorised disclosures are on record", Strong, nil, "register of exports, shares and forwards"},
	{"P6.3", privacy, "Unauthorised disclosures are on record", Strong, nil, "incidents with personal data and the records affected"},
	{"P6.4", privacy, "Vendors promise privacy", Attestation, nil, "contracts"},
	{"P6.5", privacy, "Vendors report breaches", Attestation, nil, "intake of vendor reports"},
	{"P6.6", privacy, "Those affected by a breach are told", Supporting, nil, "notification times in the incident dossier"},
	{"P6.7", privacy, "People are told what is held about them and to whom it went", Supporting, nil, "disclosure register joined with access requests"},
	{"P7.1", privacy, "Personal data are accurate", Attestation, nil, "documents"},
	{"P8.1", privacy, "Complaints are heard", Attestation, nil, "tickets"},
}
