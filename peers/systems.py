"""Real systems that Daybook audits: nginx before a PyPI server, databases, rsyslog with sshd and
sudo.
"""

import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile

from processes import BOUND_TO_US, PATIENCE_S, Program, environment, free_port, run, wait_until

POSTGRESQL = pathlib.Path("/usr/lib/postgresql/15/bin")


def account_of(user):
    """The account that a server runs under: its own where we may choose, else ours."""
    return pwd.getpwnam(user) if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())


def folder_of(account, parent):
    """A new folder that this account owns and may reach."""
    made = pathlib.Path(tempfile.mkdtemp(prefix=f"{account.pw_name}-", dir=parent))
    os.chmod(parent, 0o755)
    os.chown(made, account.pw_uid, account.pw_gid)
    os.chmod(made, 0o755)
    return made


class PyPi(Program):
    """pypiserver, which takes whatever nginx lets through."""

    def __init__(self, folder):
        port = free_port()
        self.packages = pathlib.Path(folder) / "packages"
        self.packages.mkdir()
        server = [
            str(pathlib.Path(sys.executable).parent / "pypi-server"),
            "run",
            "-i",
            "127.0.0.1",
            "-p",
            str(port),
        ]
        super().__init__(
            port, f"{folder}/pypi.log", *server, "-P", ".", "-a", ".", str(self.packages)
        )


class Nginx(Program):
    """nginx in front of a PyPI server, with users; it logs to a file as JSON."""

    def __init__(self, folder, upstream, users):
        port = free_port()
        self.folder = pathlib.Path(folder) / "nginx"
        self.folder.mkdir()
        self.access_log = self.folder / "access.json"
        passwords = self.folder / "htpasswd"
        passwords.touch()
        for user, password in users.items():
            run("htpasswd", "-bB", str(passwords), user, password)
        user = "user root;" if os.geteuid() == 0 else ""
        configuration = self.folder / "nginx.conf"
        configuration.write_text(
            f"""worker_processes 1; daemon off; pid {self.folder}/nginx.pid; error_log {self.folder}/error.log; {user}
events {{ worker_connections 64; }}
http {{
  client_body_temp_path {self.folder}/tmp; proxy_temp_path {self.folder}/tmp; fastcgi_temp_path {self.folder}/tmp;
  uwsgi_temp_path {self.folder}/tmp; scgi_temp_path {self.folder}/tmp;
  map $http_authorization $auth_scheme {{ default ""; "~^(?<s>[A-Za-z]+) " $s; }}
  log_format daybook escape=json '{{"msec":$msec,"request_time":$request_time,"request_id":"$request_id",'
    '"remote_addr":"$remote_addr","remote_port":"$remote_port","remote_user":"$remote_user",'
    '"xff":"$http_x_forwarded_for","auth_scheme":"$auth_scheme","method":"$request_method",'
    '"request_uri":"$request_uri","uri":"$uri","status":$status,"user_agent":"$http_user_agent","format":"pypi"}}';
  access_log {self.access_log} daybook;
  server {{
    listen 127.0.0.1:{port};
    auth_basic "packages"; auth_basic_user_file {passwords};
    location / {{
      proxy_pass http://127.0.0.1:{upstream.port}; proxy_set_header Host $http_host; proxy_set_header Authorization "";
    }}
  }}
}}
"""
        )
        super().__init__(
            port,
            self.folder / "output.log",
            "nginx",
            "-p",
            str(self.folder),
            "-c",
            str(configuration),
        )

    def rotate(self, number):
        """Rotates as logrotate does: renames the file, then makes nginx open a new one."""
        self.access_log.rename(f"{self.access_log}.{number}")
        self.process.send_signal(signal.SIGUSR1)
        wait_until(self.access_log.exists, "nginx opened its log anew")


class MariaDb(Program):
    """MariaDB with the audit plugin, whose files it rotates by size; it runs in another time zone
    than UTC.
    """

    def __init__(self, folder, rotate_size):
        port = free_port()
        account = account_of("mysql")
        self.folder = folder_of(account, folder)
        self.audit_log = self.folder / "server_audit.log"
        self.socket = self.folder / "mysqld.sock"
        configuration = self.folder / "my.cnf"
        configuration.write_text(f"""[mariadbd]
user={account.pw_name}
datadir={self.folder}/data
socket={self.socket}
pid-file={self.folder}/mysqld.pid
port={port}
bind-address=127.0.0.1
skip-name-resolve
innodb_buffer_pool_size=32M
innodb_log_file_size=16M
performance_schema=OFF
character-set-server=utf8mb4
plugin_load_add=server_audit
server_audit_logging=ON
server_audit_events=CONNECT,QUERY
server_audit_output_type=file
server_audit_file_path={self.audit_log}
server_audit_file_rotate_size={rotate_size}
server_audit_file_rotations=50
""")
        run(
            "mariadb-install-db",
            f"--defaults-file={configuration}",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
        )
        # The set-up wrote lines that are not part of the test.
        for file in self.folder.glob("server_audit.log*"):
            file.unlink()
        super().__init__(
            port,
            self.folder / "mariadb.log",
            "mariadbd",
            f"--defaults-file={configuration}",
            TZ="Asia/Shanghai",
        )

    def sql(self, *statements, user="root", password="", database=""):
        """Runs statements in one connection; returns whether all succeeded."""
        script = "".join(f"{statement};\n" for statement in statements)
        command = [
            "mariadb",
            f"--socket={self.socket}",
            f"--user={user}",
            f"--password={password}",
            "--force",
            database,
        ]
        done = subprocess.run(
            [part for part in command if part],
            input=script,
            capture_output=True,
            text=True,
            check=False,
            timeout=10 * PATIENCE_S,
            env=environment(),
        )
        return done.returncode == 0 and "ERROR" not in done.stderr

    def rotated_files(self):
        """The rotated files, oldest first."""
        number = lambda path: int(path.suffix[1:])
        return sorted(self.folder.glob("server_audit.log.*"), key=number, reverse=True)


class PostgreSql:
    """PostgreSQL 15 with pgaudit, which logs to CSV files and rotates them by size."""

    def __init__(self, folder, rotation_kb):
        self.port = free_port()
        self.account = account_of("postgres")
        self.folder = folder_of(self.account, folder)
        self.data = self.folder / "data"
        self.logs = self.data / "log"
        password = self.folder / "password"
        password.write_text("super-secret")
        os.chmod(password, 0o644)
        self.as_postgres(
            POSTGRESQL / "initdb",
            "-D",
            self.data,
            "-A",
            "scram-sha-256",
            f"--pwfile={password}",
            "-U",
            "postgres",
        )
        with open(self.data / "postgresql.conf", "a", encoding="utf-8") as settings:
            settings.write(f"""
listen_addresses='127.0.0.1'
port={self.port}
unix_socket_directories='{self.folder}'
shared_buffers=32MB
shared_preload_libraries='pgaudit'
logging_collector=on
log_destination='csvlog'
log_directory='log'
log_filename='postgresql-%Y-%m-%d_%H%M%S.log'
log_rotation_size={rotation_kb}kB
log_timezone='UTC'
log_connections=on
log_disconnections=on
pgaudit.log='all'
pgaudit.log_catalog=off
pgaudit.log_parameter=on
""")

    def as_postgres(self, *command):
        identity = []
        if os.geteuid() == 0:
            identity = [
                "setpriv",
                f"--reuid={self.account.pw_uid}",
                f"--regid={self.account.pw_gid}",
                "--init-groups",
            ]
        return run(*identity, *map(str, command))

    def control(self, *command):
        self.as_postgres(
            POSTGRESQL / "pg_ctl", "-D", self.data, "-w", "-l", self.folder / "server.log", *command
        )

    def start(self):
        self.control("start")

    def stop(self):
        if (self.data / "postmaster.pid").exists():
            self.control("-m", "immediate", "stop")

    def sql(self, *statements, user="postgres", password="super-secret", database="postgres"):
        """Runs statements in one connection, one by one; returns whether all succeeded."""
        command = [
            POSTGRESQL / "psql",
            "-h",
            "127.0.0.1",
            "-p",
            self.port,
            "-U",
            user,
            "-d",
            database,
            "-X",
            "-q",
        ]
        done = subprocess.run(
            [*map(str, command), *(part for statement in statements for part in ("-c", statement))],
            capture_output=True,
            text=True,
            check=False,
            timeout=10 * PATIENCE_S,
            env=environment(PGPASSWORD=password),
        )
        return done.returncode == 0


class Rsyslog(Program):
    """rsyslog, which takes messages at a socket of its own and forwards them all."""

    def __init__(self, folder, action, log_socket):
        self.folder = pathlib.Path(folder)
        self.log_socket = log_socket
        self.pid = self.folder / "rsyslogd.pid"
        configuration = self.folder / "rsyslog.conf"
        configuration.write_text(
            f"""global(workDirectory="{self.folder}" maxMessageSize="64k" debug.whitelist="on" {action.pop("global", "")})
module(load="imuxsock" SysSock.Name="{log_socket}" SysSock.UsePIDFromSystem="on" SysSock.RateLimit.Interval="0")
*.* action(type="omfwd" queue.type="LinkedList" queue.size="100000" action.resumeInterval="1"
  action.resumeRetryCount="-1" {" ".join(f'{name}="{value}"' for name, value in action.items())})
"""
        )
        command = ["rsyslogd", "-n", "-f", str(configuration), "-i", str(self.pid)]
        super().__init__(0, self.folder / "rsyslog.log", *command)

    def listens(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
            return probe.connect_ex(str(self.log_socket)) == 0


class Sshd(Program):
    """sshd, whose lines go to syslog through the socket that is there for them."""

    def __init__(self, folder):
        port = free_port()
        self.folder = pathlib.Path(folder) / "sshd"
        self.folder.mkdir()
        os.makedirs("/run/sshd", exist_ok=True)
        host_key, self.key, self.other_key = (
            self.folder / name for name in ("host", "key", "other")
        )
        for key in (host_key, self.key, self.other_key):
            run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key))
        shutil.copy(f"{self.key}.pub", self.folder / "authorized")
        configuration = self.folder / "sshd_config"
        configuration.write_text(f"""Port {port}
ListenAddress 127.0.0.1
HostKey {host_key}
PidFile {self.folder}/sshd.pid
UsePAM no
PasswordAuthentication yes
KbdInteractiveAuthentication no
AuthorizedKeysFile {self.folder}/authorized
StrictModes no
PermitRootLogin yes
LogLevel VERBOSE
UseDNS no
""")
        super().__init__(
            port, self.folder / "sshd.log", "/usr/sbin/sshd", "-D", "-f", str(configuration)
        )

    def log_in(self, user, key=None, password=None, command="true"):
        """Whether the login succeeded."""
        options = [
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "LogLevel=ERROR",
            "IdentitiesOnly=yes",
        ]
        options += [
            "PreferredAuthentications=" + ("publickey" if key else "password"),
            "NumberOfPasswordPrompts=1",
        ]
        login = [
            "ssh",
            "-p",
            str(self.port),
            *(part for option in options for part in ("-o", option)),
        ]
        login += ["-i", str(key)] if key else []
        login += ["-l", user, "127.0.0.1", command]
        with_password = ["sshpass", "-p", password] if password else []
        done = subprocess.run(
            [*BOUND_TO_US, *with_password, *login],
            capture_output=True,
            check=False,
            timeout=PATIENCE_S,
        )
        return done.returncode == 0
