#!/usr/bin/env python3
"""Makes a small container image out of files of this machine, as a docker-archive.

    make-image.py -o OUT.tar [-t NAME]... [--busybox] [--file SRC:DST[:MODE]]... [--text DST=TEXT]...
                  [--env K=V]... [--user U] [--workdir D] [--entrypoint WORD]... [--] [CMD...]

--busybox puts Debian's static busybox in, with a link for each of its commands. Names end up in the
archive, so that `colibri image load` and `skopeo copy` need not be told them.
"""
import argparse
import hashlib
import io
import json
import os
import subprocess
import tarfile


def add(tar, name, data=b"", mode=0o755, kind=tarfile.REGTYPE, link=""):
    info = tarfile.TarInfo(name.lstrip("/"))
    info.size, info.mode, info.type, info.linkname = len(data), mode, kind, link
    tar.addfile(info, io.BytesIO(data) if data else None)


def make_layer(args):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for folder, mode in (("bin", 0o755), ("etc", 0o755), ("tmp", 0o1777), ("root", 0o700), ("home", 0o755), ("var", 0o755)):
            add(tar, folder, mode=mode, kind=tarfile.DIRTYPE)
        add(tar, "etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/home:/bin/sh\n", 0o644)
        add(tar, "etc/group", b"root:x:0:\nnogroup:x:65534:\n", 0o644)
        if args.busybox:
            with open("/bin/busybox", "rb") as f:
                add(tar, "bin/busybox", f.read())
            applets = subprocess.run(["/bin/busybox", "--list"], capture_output=True, text=True, check=True).stdout.split()
            for applet in applets:
                if applet != "busybox":
                    add(tar, "bin/" + applet, kind=tarfile.SYMTYPE, link="busybox")
        for spec in args.file:
            source, target, *mode = spec.split(":")
            with open(source, "rb") as f:
                add(tar, target, f.read(), int(mode[0], 8) if mode else os.stat(source).st_mode & 0o777)
        for spec in args.text:
            target, text = spec.split("=", 1)
            add(tar, target, text.encode(), 0o755 if text.startswith("#!") else 0o644)
    return out.getvalue()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("-o", required=True)
    parser.add_argument("-t", action="append", default=[])
    parser.add_argument("--busybox", action="store_true")
    parser.add_argument("--file", action="append", default=[])
    parser.add_argument("--text", action="append", default=[])
    parser.add_argument("--env", action="append", default=[])
    parser.add_argument("--user", default="")
    parser.add_argument("--workdir", default="")
    parser.add_argument("--entrypoint", action="append", default=[])
    parser.add_argument("cmd", nargs="*")
    args = parser.parse_args()

    layer = make_layer(args)
    layer_id = hashlib.sha256(layer).hexdigest()
    config = {
        "architecture": "amd64" if os.uname().machine == "x86_64" else "arm64",
        "os": "linux",
        "config": {
            "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"] + args.env,
            "Cmd": args.cmd or None,
            "Entrypoint": args.entrypoint or None,
            "User": args.user,
            "WorkingDir": args.workdir,
        },
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + layer_id]},
        "history": [{"created_by": "make-image"}],
    }
    config_text = json.dumps(config).encode()
    config_name = hashlib.sha256(config_text).hexdigest() + ".json"
    manifest = [{"Config": config_name, "RepoTags": args.t, "Layers": [layer_id + "/layer.tar"]}]
    with tarfile.open(args.o, "w") as tar:
        add(tar, layer_id + "/layer.tar", layer, 0o644)
        add(tar, config_name, config_text, 0o644)
        add(tar, "manifest.json", json.dumps(manifest).encode(), 0o644)


main()
