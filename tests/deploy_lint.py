# SPDX-License-Identifier: GPL-2.0-or-later
"""What no cluster and no builder is here to say of deploy/kubernetes/ and deploy/Containerfile.

Prints each fault. Not here: their looks (yamllint), and that the libraries in the image are those
the program needs (netns_deb.sh).
"""
import glob
import os
import re
import shlex
import subprocess
import tempfile

import yaml

REPO = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
MANIFESTS = sorted(glob.glob(REPO + "/deploy/kubernetes/*.yaml"))
CONTAINER = REPO + "/deploy/Containerfile"
CAPABILITIES = {"BPF", "NET_ADMIN", "PERFMON"}
# apiVersion, fields of the object, fields of its spec (None: it has none)
KINDS = {
    "Namespace": ("v1", set(), None),
    "ConfigMap": ("v1", {"data"}, None),
    "Secret": ("v1", {"type", "stringData"}, None),
    "DaemonSet": ("apps/v1", {"spec"}, {"selector", "updateStrategy", "template"}),
}
POD = {"hostNetwork", "dnsPolicy", "automountServiceAccountToken", "enableServiceLinks",
       "priorityClassName", "terminationGracePeriodSeconds", "nodeSelector", "tolerations",
       "initContainers", "containers", "volumes"}
CONTAINER_FIELDS = {"name", "image", "args", "env", "ports", "securityContext", "resources",
                    "volumeMounts", "livenessProbe", "readinessProbe"}
SECURITY = {"privileged", "allowPrivilegeEscalation", "readOnlyRootFilesystem", "runAsUser",
            "runAsGroup", "runAsNonRoot", "capabilities", "seccompProfile", "appArmorProfile"}

faults = []


def fault(where, *words):
    faults.append("%s: %s" % (where, " ".join(str(word) for word in words)))


def only(where, mapping, known):
    for key in set(mapping) - set(known):
        fault(where, "unknown field", key)


def check_container(where, container, volumes):
    where = "%s: container %s" % (where, container.get("name"))
    only(where, container, CONTAINER_FIELDS)
    security = container.get("securityContext", {})
    only(where, security, SECURITY)
    capabilities = security.get("capabilities", {})
    if not re.fullmatch(r"[a-z0-9./-]+:[\w.-]+", container.get("image", "")):
        fault(where, "an image with a tag expected")
    if security.get("privileged") is not False or \
            security.get("allowPrivilegeEscalation") is not False or \
            security.get("readOnlyRootFilesystem") is not True:
        fault(where, "not confined")
    if capabilities.get("drop") != ["ALL"] or set(capabilities.get("add", [])) - CAPABILITIES:
        fault(where, "capabilities", capabilities)
    if container["name"] == "web" and (capabilities.get("add") or not security.get("runAsUser")):
        fault(where, "what faces the network has a privilege")
    if not container.get("resources", {}).get("requests"):
        fault(where, "no resources requested")
    for mount in container.get("volumeMounts", []):
        only(where, mount, {"name", "mountPath", "mountPropagation", "readOnly"})
        if mount["name"] not in volumes:
            fault(where, "no volume", mount["name"])
        volumes[mount["name"]] = True
    ports = {port["name"] for port in container.get("ports", [])}
    for probe in "livenessProbe", "readinessProbe":
        get = container.get(probe, {}).get("httpGet")
        if get and (get["port"] not in ports or get["path"] not in ("/healthz", "/readyz")):
            fault(where, probe, get)
    check_command(where, container.get("args", []))


def commands():
    text = open(REPO + "/user/main.c").read()
    return set(re.findall(r'^\t\{ "([a-z-]+)", cmd_', text, re.M))


def check_command(where, args):
    options = set(re.findall(r'^\t\{ "([a-z-]+)", \w+_argument', open(REPO + "/user/options.c").read(), re.M))
    if not args or args[0] not in commands():
        fault(where, "no command:", args)
    for arg in args:
        if arg.startswith("--") and arg[2:] not in options:
            fault(where, "no option", arg)


def check_pod(where, template, selector):
    pod = template["spec"]
    only(where, pod, POD)
    labels = template["metadata"]["labels"]
    if not selector or any(labels.get(key) != value for key, value in selector.items()):
        fault(where, "the selector does not match the labels of the pod")
    if pod.get("hostNetwork") is not True:
        fault(where, "not in the network of the host")
    volumes = {volume["name"]: False for volume in pod["volumes"]}
    containers = pod.get("initContainers", []) + pod["containers"]
    for container in containers:
        check_container(where, container, volumes)
    for name, used in volumes.items():
        if not used:
            fault(where, "volume", name, "is used by nobody")
    for key in template["metadata"].get("annotations", {}):
        name = key.rpartition("/")[2]
        if key.startswith("container.apparmor") and name not in [c["name"] for c in containers]:
            fault(where, "annotation for no container:", key)


def check_config(where, data):
    """Of a ConfigMap with our configuration: what `synwarden check` says, if it is built."""
    program = REPO + "/build/synwarden"
    for name, text in data.items():
        if not name.endswith(".yaml") or not os.path.exists(program):
            continue
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write(text)
            file.flush()
            done = subprocess.run([program, "check", file.name], capture_output=True, text=True)
        if done.returncode:
            fault(where, name, done.stderr.strip())


def check_manifest(path):
    config_maps, wanted = set(), set()
    for item in yaml.safe_load_all(open(path)):
        where = "%s: %s" % (os.path.relpath(path, REPO), item.get("kind"))
        if item.get("kind") not in KINDS:
            fault(where, "unknown kind")
            continue
        version, fields, spec = KINDS[item["kind"]]
        only(where, item, {"apiVersion", "kind", "metadata"} | fields)
        if item["apiVersion"] != version:
            fault(where, "apiVersion", item["apiVersion"], "is not", version)
        if item["metadata"].get("labels", {}).get("app.kubernetes.io/name") != "synwarden":
            fault(where, "no label app.kubernetes.io/name")
        if item["kind"] == "ConfigMap":
            config_maps.add(item["metadata"]["name"])
            check_config(where, item["data"])
        if spec:
            only(where, item["spec"], spec)
            check_pod(where, item["spec"]["template"], item["spec"]["selector"]["matchLabels"])
            wanted |= {volume["configMap"]["name"] for volume in
                       item["spec"]["template"]["spec"]["volumes"] if "configMap" in volume}
    for name in wanted - config_maps:
        fault(os.path.relpath(path, REPO), "no ConfigMap", name)


def instructions(path):
    text = re.sub(r"^#.*\n", "", open(path).read(), flags=re.M)
    for line in text.replace("\\\n", " ").splitlines():
        if line.strip():
            word, _, rest = line.strip().partition(" ")
            yield word, rest.strip()


def check_copy(where, args, stages):
    words = shlex.split(args)
    if words[0].startswith("--from="):
        if words[0][7:] not in stages[:-1]:
            fault(where, "no stage", words[0][7:])
        return
    for source in words[:-1]:
        if not os.path.exists(os.path.join(REPO, source)):
            fault(where, "COPY of what is not there:", source)


def check_containerfile(path):
    """Pinned bases, sources that exist, no lists of packages left, and what README tells to run."""
    where = os.path.relpath(path, REPO)
    readme = open(REPO + "/README.md").read() + open(REPO + "/tests/run.sh").read()
    stages, last = [], {}
    for word, args in instructions(path):
        last[word] = args
        if word not in ("FROM", "WORKDIR", "COPY", "RUN", "USER", "ENTRYPOINT", "CMD", "LABEL"):
            fault(where, "unexpected", word)
        elif word == "FROM":
            image, _, name = args.partition(" AS ")
            stages.append(name or image)
            last = {}
            if not re.fullmatch(r"[\w.-]+(/[\w.-]+)+:[\w.-]+", image) or image.endswith(":latest"):
                fault(where, "FROM", image, "has no registry or no tag")
        elif word == "COPY":
            check_copy(where, args, stages)
        elif word == "RUN" and "apt-get install" in args:
            for needed in "apt-get update", "--no-install-recommends", "rm -rf /var/lib/apt/lists":
                if needed not in args:
                    fault(where, "RUN apt-get without", needed)
        elif word == "RUN":
            for command in args.split("&&"):
                plain = " ".join(w for w in shlex.split(command) if "=" not in w)
                if plain.split()[0] == "make" and plain not in readme or \
                        plain.startswith("tests/") and "tests/install.sh" not in readme:
                    fault(where, "RUN", plain, "is in no README")
    if len(stages) < 2 or not re.fullmatch(r"\d+:\d+", last.get("USER", "")):
        fault(where, "two stages and a USER in numbers expected")
    if not last.get("ENTRYPOINT", "").startswith("["):
        fault(where, "ENTRYPOINT is no list")
    check_command(where, yaml.safe_load(last.get("CMD", "[]")))


if not MANIFESTS:
    fault("deploy/kubernetes", "no manifest")
for manifest in MANIFESTS:
    check_manifest(manifest)
check_containerfile(CONTAINER)
print("\n".join(faults), end="\n" if faults else "")
