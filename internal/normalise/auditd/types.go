package auditd

import "github.com/meshtrail/meshtrail/internal/normalise/facts"

// types are the types of reports by number, as the kernel's own log has them
// (uapi/linux/audit.h, libaudit.h).
var types = map[int64]string{
	1006: "LOGIN",
	1100: "USER_AUTH", 1101: "USER_ACCT", 1102: "USER_MGMT", 1103: "CRED_ACQ", 1104: "CRED_DISP", 1105: "USER_START", 1106: "USER_END", 1107: "USER_AVC",
	1108: "USER_CHAUTHTOK", 1109: "USER_ERR", 1110: "CRED_REFR", 1111: "USYS_CONFIG", 1112: "USER_LOGIN", 1113: "USER_LOGOUT", 1114: "ADD_USER", 1115: "DEL_USER",
	1116: "ADD_GROUP", 1117: "DEL_GROUP", 1118: "DAC_CHECK", 1119: "CHGRP_ID", 1120: "TEST", 1121: "TRUSTED_APP", 1122: "USER_SELINUX_ERR", 1123: "USER_CMD",
	1124: "USER_TTY", 1125: "CHUSER_ID", 1126: "GRP_AUTH", 1127: "SYSTEM_BOOT", 1128: "SYSTEM_SHUTDOWN", 1129: "SYSTEM_RUNLEVEL", 1130: "SERVICE_START",
	1131: "SERVICE_STOP", 1132: "GRP_MGMT", 1133: "GRP_CHAUTHTOK", 1134: "MAC_CHECK", 1135: "ACCT_LOCK", 1136: "ACCT_UNLOCK", 1137: "USER_DEVICE", 1138: "SOFTWARE_UPDATE",
	1200: "DAEMON_START", 1201: "DAEMON_END", 1202: "DAEMON_ABORT", 1203: "DAEMON_CONFIG",
	1300: "SYSCALL", 1302: "PATH", 1303: "IPC", 1304: "SOCKETCALL", 1305: "CONFIG_CHANGE", 1306: "SOCKADDR", 1307: "CWD", 1309: "EXECVE", 1311: "IPC_SET_PERM",
	1312: "MQ_OPEN", 1313: "MQ_SENDRECV", 1314: "MQ_NOTIFY", 1315: "MQ_GETSETATTR", 1316: "KERNEL_OTHER", 1317: "FD_PAIR", 1318: "OBJ_PID", 1319: "TTY", 1320: "EOE",
	1321: "BPRM_FCAPS", 1322: "CAPSET", 1323: "MMAP", 1324: "NETFILTER_PKT", 1325: "NETFILTER_CFG", 1326: "SECCOMP", 1327: "PROCTITLE", 1328: "FEATURE_CHANGE",
	1329: "REPLACE", 1330: "KERN_MODULE", 1331: "FANOTIFY", 1332: "TIME_INJOFFSET", 1333: "TIME_ADJNTPVAL", 1334: "BPF", 1335: "EVENT_LISTENER", 1336: "URINGOP",
	1337: "OPENAT2", 1338: "DM_CTRL", 1339: "DM_EVENT",
	1400: "AVC", 1401: "SELINUX_ERR", 1402: "AVC_PATH", 1403: "MAC_POLICY_LOAD", 1404: "MAC_STATUS", 1405: "MAC_CONFIG_CHANGE", 1420: "MAC_TASK_CONTEXTS", 1423: "LANDLOCK_ACCESS", 1424: "LANDLOCK_DOMAIN",
	1700: "ANOM_PROMISCUOUS", 1701: "ANOM_ABEND", 1702: "ANOM_LINK", 1703: "ANOM_CREAT",
	1800: "INTEGRITY_DATA", 1801: "INTEGRITY_METADATA", 1802: "INTEGRITY_STATUS", 1803: "INTEGRITY_HASH", 1804: "INTEGRITY_PCR", 1805: "INTEGRITY_RULE", 1806: "INTEGRITY_EVM_XATTR", 1807: "INTEGRITY_POLICY_RULE",
}

// named are the same as bytes, so that none is made for a record.
var named = func() map[int64][]byte {
	m := make(map[int64][]byte, len(types))
	for n, s := range types {
		m[n] = []byte(s)
	}
	return m
}()

// typeName returns the name of a type that is given by name or number.
func typeName(b []byte) []byte {
	if n, ok := facts.Uint(b); ok && named[n] != nil {
		return named[n]
	}
	return b
}

// A role says whose account acct= and id= of a type name, and whether the type by
// itself says what was done.
type role uint8

const (
	part    role = iota // of an event that another line tells: PATH, CWD
	act                 // a program or the kernel did something
	session             // acct is who logs in or is asked for
	change              // acct is who or what is changed
)

var roles = map[string]role{
	"USER_AUTH": session, "USER_ACCT": session, "CRED_ACQ": session, "CRED_DISP": session, "CRED_REFR": session, "USER_START": session, "USER_END": session,
	"USER_LOGIN": session, "USER_LOGOUT": session, "USER_ERR": session, "GRP_AUTH": session, "USER_ROLE_CHANGE": session, "ANOM_LOGIN_FAILURES": session,
	"ANOM_LOGIN_TIME": session, "ANOM_LOGIN_SESSIONS": session, "ANOM_LOGIN_ACCT": session, "ANOM_LOGIN_LOCATION": session, "DAC_CHECK": session, "LOGIN": session,
	"CRYPTO_SESSION": session, "CRYPTO_KEY_USER": session, "CRYPTO_LOGIN": session, "CRYPTO_LOGOUT": session,
	"USER_CHAUTHTOK": change, "USER_MGMT": change, "ADD_USER": change, "DEL_USER": change, "ADD_GROUP": change, "DEL_GROUP": change, "GRP_MGMT": change,
	"GRP_CHAUTHTOK": change, "ACCT_LOCK": change, "ACCT_UNLOCK": change, "ANOM_ADD_ACCT": change, "ANOM_DEL_ACCT": change, "ANOM_MOD_ACCT": change,
	"ROLE_ASSIGN": change, "ROLE_REMOVE": change,
	"PATH": part, "CWD": part, "EXECVE": part, "PROCTITLE": part, "SOCKADDR": part, "EOE": part, "BPRM_FCAPS": part, "FD_PAIR": part, "OBJ_PID": part, "IPC": part,
	"MMAP": part, "AVC_PATH": part, "SOCKETCALL": part, "CAPSET": part, "OPENAT2": part, "MQ_OPEN": part, "UNKNOWN": part, "MAC_TASK_CONTEXTS": part,
}

func roleOf(kind []byte) role {
	if r, ok := roles[string(kind)]; ok {
		return r
	}
	return act
}
