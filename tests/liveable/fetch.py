"""Source packages from the registries, by name and version, through their ordinary clients; each is fetched once."""
import glob
import json
import os
import shutil
import subprocess
import tempfile


PATIENCE = 300 # seconds for one program


class NotThere(Exception):
    """A package could not be had; its text says why."""


def run(argv, **more):
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, **more)
    except subprocess.TimeoutExpired as e:
        raise NotThere(f'{" ".join(argv)}: no end after {PATIENCE} s') from e
    if done.returncode:
        raise NotThere(f'{" ".join(argv)}: {(done.stderr or done.stdout).strip()[-400:]}')
    return done.stdout


def from_pypi(package, version, new, cache):
    run(['python3', '-m', 'pip', 'download', '-q', '--no-deps', '--no-binary', package, '-d', new, f'{package}=={version}'])
    unpack(glob.glob(os.path.join(new, '*.*'))[0], new)


def from_npm(package, version, new, cache):
    name = run(['npm', 'pack', '--silent', f'{package}@{version}'], cwd=new).strip().splitlines()[-1]
    unpack(os.path.join(new, name), new)


def from_crate(package, version, new, cache):
    """A project that depends on it has cargo unpack it; what cargo keeps is below a home of the project's own."""
    project = os.path.join(new, '.project')
    run(['cargo', 'init', '-q', '--vcs', 'none', '--name', 'wants', '--lib', project])
    with open(os.path.join(project, 'Cargo.toml'), 'a', encoding='utf-8') as manifest:
        manifest.write(f'{package} = "={version}"\n')
    run(['cargo', 'fetch', '-q'], cwd=project, env=dict(os.environ, CARGO_HOME=os.path.join(project, 'home')))
    move_up(glob.glob(os.path.join(project, f'home/registry/src/*/{package}-{version}'))[0], new)
    shutil.rmtree(project)


def from_go(package, version, new, cache):
    folder = json.loads(run(['go', 'mod', 'download', '-json', f'{package}@{version}'],
                            env=dict(os.environ, GOMODCACHE=os.path.join(cache, 'go'), GOFLAGS='-modcacherw')))['Dir']
    shutil.copytree(folder, new, dirs_exist_ok=True, symlinks=True)
    run(['chmod', '-R', 'u+w', new])


def from_debian(package, version, new, cache):
    """apt-get source by a configuration of our own: the machine's Debian sources, their source packages too.
    Debian's patches stay away: those of Java packages want Debian's jars."""
    apt = os.path.join(cache, 'apt')
    options = ['-o', 'Dir::Etc::SourceList=/dev/null', '-o', f'Dir::Etc::SourceParts={apt}/parts', '-o', f'Dir::State::Lists={apt}/lists',
               '-o', f'Dir::Cache={apt}/cache', '-o', 'APT::Sandbox::User=root']
    if not os.path.isdir(apt):
        for part in ('parts', 'lists/partial', 'cache/archives/partial'):
            os.makedirs(os.path.join(apt, part))
        write_apt_sources(os.path.join(apt, 'parts'))
        run(['apt-get', *options, 'update'])
    run(['apt-get', *options, '--download-only', 'source', f'{package}={version}'], cwd=new)
    dsc = glob.glob(os.path.join(new, '*.dsc'))[0]
    run(['dpkg-source', '--no-check', '--skip-patches', '-x', dsc, os.path.join(new, '.unpacked')])
    for path in glob.glob(os.path.join(new, '*')):
        os.unlink(path)
    move_up(os.path.join(new, '.unpacked'), new)


def write_apt_sources(parts):
    """What the machine's apt has of Debian itself, with source packages added."""
    with open(os.path.join(parts, 'all.list'), 'w', encoding='utf-8') as ours:
        for path in ['/etc/apt/sources.list', *glob.glob('/etc/apt/sources.list.d/*.list')]:
            if os.path.exists(path):
                with open(path, encoding='utf-8') as theirs:
                    ours.writelines('deb-src' + line[3:] for line in theirs if line.startswith('deb ') and 'debian' in line)
    for path in glob.glob('/etc/apt/sources.list.d/*.sources'):
        with open(path, encoding='utf-8') as theirs:
            text = theirs.read()
        if 'debian-archive-keyring' in text:
            with open(os.path.join(parts, os.path.basename(path)), 'w', encoding='utf-8') as ours:
                ours.write(text.replace('Types: deb\n', 'Types: deb-src\n'))


def unpack(archive, new):
    folder = os.path.join(new, '.unpacked')
    os.makedirs(folder)
    run(['tar', '-xf', archive, '-C', folder, '--no-same-owner'])
    os.unlink(archive)
    move_up(glob.glob(os.path.join(folder, '*'))[0], new)
    os.rmdir(folder)


def move_up(folder, new):
    for name in os.listdir(folder):
        os.rename(os.path.join(folder, name), os.path.join(new, name))
    os.rmdir(folder)


REGISTRIES = {'pypi': from_pypi, 'npm': from_npm, 'crate': from_crate, 'go': from_go, 'debian': from_debian}


def fetch(registry, package, version, cache):
    """The folder below `cache` with the package's source, fetched unless it is there."""
    folder = os.path.join(cache, 'sources', f'{registry}-{package.replace("/", "_")}-{version.replace("~", "_")}')
    if os.path.isdir(folder):
        return folder
    os.makedirs(os.path.dirname(folder), exist_ok=True)
    new = tempfile.mkdtemp(prefix='.new-', dir=os.path.dirname(folder))
    try:
        REGISTRIES[registry](package, version, new, cache)
        os.chmod(new, 0o755)
        os.rename(new, folder)
    except (OSError, IndexError, KeyError, ValueError) as e:
        raise NotThere(f'{package} {version} of {registry}: {e}') from e
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return folder
