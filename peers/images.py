"""Small OCI images, pushed and pulled by hand over HTTP, with a ledger of what was done."""

import base64
import collections
import gzip
import hashlib
import http.client
import json
import pathlib

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
Done = collections.namedtuple("Done", "operation resource_type resource username")


def digest_of(blob):
    return "sha256:" + hashlib.sha256(blob).hexdigest()


class Image:
    """An image of one layer whose content is the given text."""

    def __init__(self, text):
        layer = gzip.compress(text.encode(), mtime=0)
        config = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [digest_of(text.encode())]}}).encode()
        describe = lambda kind, blob: {"mediaType": kind, "size": len(blob), "digest": digest_of(blob)}
        self.blobs = [config, layer]
        self.manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": describe("application/vnd.oci.image.config.v1+json", config),
                "layers": [describe("application/vnd.oci.image.layer.v1.tar+gzip", layer)],
            }
        ).encode()
        self.digest = digest_of(self.manifest)

    def write_layout(self, folder, tag):
        """Lays the image down as an OCI layout, which skopeo reads."""
        blobs = pathlib.Path(folder) / "blobs" / "sha256"
        blobs.mkdir(parents=True)
        for blob in [self.manifest, *self.blobs]:
            (blobs / hashlib.sha256(blob).hexdigest()).write_bytes(blob)
        (pathlib.Path(folder) / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
        entry = {"mediaType": MANIFEST, "digest": self.digest, "size": len(self.manifest), "annotations": {"org.opencontainers.image.ref.name": tag}}
        (pathlib.Path(folder) / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))


class Client:
    """A user of a registry. What an auditor must find afterwards is added to `ledger`."""

    def __init__(self, registry, user, password, ledger):
        self.host, self.user, self.ledger = registry.host, user, ledger
        self.authorization = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    def request(self, method, path, body=b"", **headers):
        connection = http.client.HTTPConnection(self.host, timeout=60)
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, {"Authorization": self.authorization, **headers})
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer

    def expect(self, status, method, path, body=b"", **headers):
        answer = self.request(method, path, body, **headers)
        assert answer.status == status, f"{method} {path}: {answer.status}"
        return answer

    def note(self, operation, resource_type, resource):
        self.ledger.append(Done(operation, resource_type, resource, self.user))

    def push_blob(self, repository, blob):
        location = self.expect(202, "POST", f"/v2/{repository}/blobs/uploads/").headers["Location"]
        path = location.split(self.host, 1)[-1]
        self.expect(201, "PUT", f"{path}&digest={digest_of(blob)}", blob, Content_Type="application/octet-stream")

    def push(self, repository, reference, image):
        for blob in image.blobs:
            self.push_blob(repository, blob)
        self.put_manifest(repository, reference, image)

    def put_manifest(self, repository, reference, image):
        self.expect(201, "PUT", f"/v2/{repository}/manifests/{reference}", image.manifest, Content_Type=MANIFEST)
        self.note("create", "artifact", f"{repository}:{image.digest}")

    def mount(self, repository, source, blob):
        self.expect(201, "POST", f"/v2/{repository}/blobs/uploads/?mount={digest_of(blob)}&from={source}")

    def pull(self, repository, reference, image):
        self.expect(200, "GET", f"/v2/{repository}/manifests/{reference}", Accept=MANIFEST)
        self.note("pull", "artifact", f"{repository}:{image.digest}")

    def look(self, repository, reference):
        """Asks whether a manifest exists, as docker does before each pull. Not a pull."""
        self.expect(200, "HEAD", f"/v2/{repository}/manifests/{reference}", Accept=MANIFEST)

    def pull_blob(self, repository, blob):
        self.expect(200, "GET", f"/v2/{repository}/blobs/{digest_of(blob)}")

    def delete(self, repository, image, tags):
        """Deletes a manifest by digest, and with it the tags that point to it."""
        self.expect(202, "DELETE", f"/v2/{repository}/manifests/{image.digest}")
        self.note("delete", "artifact", f"{repository}:{image.digest}")
        for tag in tags:
            self.note("delete", "tag", f"{repository}:{tag}")

    def delete_blob(self, repository, blob):
        self.expect(202, "DELETE", f"/v2/{repository}/blobs/{digest_of(blob)}")
