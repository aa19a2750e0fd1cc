//! Names of system calls and errors, for records to which the daemon did not add them: those that
//! audit rules usually name.

/// The name of a system call on x86_64 or aarch64; the architectures are numbered as in
/// `linux/audit.h`.
pub(super) fn name(arch: &str, number: &str) -> Option<&'static str> {
    let names = match arch {
        "c000003e" => X86_64,
        "c00000b7" => AARCH64,
        _ => return None,
    };
    let number: u16 = number.parse().ok()?;
    names.iter().find(|(one, _)| *one == number).map(|(_, name)| *name)
}

/// The name of an error number, the same on both.
pub(super) fn error(number: u32) -> String {
    match ERRORS.iter().find(|(one, _)| *one == number) {
        Some((_, name)) => (*name).to_owned(),
        None => format!("error {number}"),
    }
}

#[rustfmt::skip]
const X86_64: &[(u16, &str)] = &[
    (0, "read"), (1, "write"), (2, "open"), (41, "socket"), (42, "connect"), (43, "accept"), (44, "sendto"), (49, "bind"),
    (50, "listen"), (56, "clone"), (57, "fork"), (58, "vfork"), (59, "execve"), (62, "kill"), (76, "truncate"),
    (77, "ftruncate"), (82, "rename"), (83, "mkdir"), (84, "rmdir"), (85, "creat"), (86, "link"), (87, "unlink"),
    (88, "symlink"), (90, "chmod"), (91, "fchmod"), (92, "chown"), (93, "fchown"), (94, "lchown"), (101, "ptrace"),
    (105, "setuid"), (106, "setgid"), (113, "setreuid"), (114, "setregid"), (117, "setresuid"), (119, "setresgid"),
    (126, "capset"), (133, "mknod"), (155, "pivot_root"), (159, "adjtimex"), (161, "chroot"), (164, "settimeofday"),
    (165, "mount"), (166, "umount2"), (167, "swapon"), (169, "reboot"), (170, "sethostname"), (171, "setdomainname"),
    (175, "init_module"), (176, "delete_module"), (188, "setxattr"), (189, "lsetxattr"), (190, "fsetxattr"),
    (197, "removexattr"), (198, "lremovexattr"), (199, "fremovexattr"), (227, "clock_settime"), (246, "kexec_load"),
    (257, "openat"), (258, "mkdirat"), (259, "mknodat"), (260, "fchownat"), (263, "unlinkat"), (264, "renameat"),
    (265, "linkat"), (266, "symlinkat"), (268, "fchmodat"), (272, "unshare"), (280, "utimensat"), (288, "accept4"),
    (304, "open_by_handle_at"), (308, "setns"), (313, "finit_module"), (316, "renameat2"), (321, "bpf"),
    (322, "execveat"), (437, "openat2"), (452, "fchmodat2"),
];

#[rustfmt::skip]
const AARCH64: &[(u16, &str)] = &[
    (5, "setxattr"), (6, "lsetxattr"), (7, "fsetxattr"), (14, "removexattr"), (15, "lremovexattr"), (16, "fremovexattr"),
    (33, "mknodat"), (34, "mkdirat"), (35, "unlinkat"), (36, "symlinkat"), (37, "linkat"), (38, "renameat"),
    (39, "umount2"), (40, "mount"), (41, "pivot_root"), (45, "truncate"), (46, "ftruncate"), (51, "chroot"),
    (52, "fchmod"), (53, "fchmodat"), (54, "fchownat"), (55, "fchown"), (56, "openat"), (63, "read"), (64, "write"),
    (88, "utimensat"), (91, "capset"), (97, "unshare"), (104, "kexec_load"), (105, "init_module"), (106, "delete_module"),
    (112, "clock_settime"), (117, "ptrace"), (129, "kill"), (142, "reboot"), (143, "setregid"), (144, "setgid"),
    (145, "setreuid"), (146, "setuid"), (147, "setresuid"), (149, "setresgid"), (161, "sethostname"),
    (162, "setdomainname"), (170, "settimeofday"), (171, "adjtimex"), (198, "socket"), (200, "bind"), (201, "listen"),
    (202, "accept"), (203, "connect"), (206, "sendto"), (220, "clone"), (221, "execve"), (242, "accept4"),
    (265, "open_by_handle_at"), (268, "setns"), (273, "finit_module"), (276, "renameat2"), (280, "bpf"),
    (281, "execveat"), (437, "openat2"), (452, "fchmodat2"),
];

#[rustfmt::skip]
const ERRORS: &[(u32, &str)] = &[
    (1, "EPERM"), (2, "ENOENT"), (3, "ESRCH"), (4, "EINTR"), (5, "EIO"), (9, "EBADF"), (11, "EAGAIN"), (12, "ENOMEM"),
    (13, "EACCES"), (16, "EBUSY"), (17, "EEXIST"), (18, "EXDEV"), (20, "ENOTDIR"), (21, "EISDIR"), (22, "EINVAL"),
    (24, "EMFILE"), (26, "ETXTBSY"), (28, "ENOSPC"), (30, "EROFS"), (36, "ENAMETOOLONG"), (39, "ENOTEMPTY"), (40, "ELOOP"),
    (98, "EADDRINUSE"), (101, "ENETUNREACH"), (104, "ECONNRESET"), (110, "ETIMEDOUT"), (111, "ECONNREFUSED"),
    (113, "EHOSTUNREACH"), (115, "EINPROGRESS"),
];
