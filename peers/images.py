"""Small OCI images, pushed and pulled by hand over HTTP."""

import base64
import gzip
import hashlib
import http.client
import json
import pathlib

from processes import PATIENCE_S

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


def digest_of(blob):
    return "sha256:" + hashlib.sha256(blob).hexdigest()


def descriptor(media_type, blob):
    return {"mediaType": media_type, "size": len(blob), "digest": digest_of(blob)}


class Image:
    """An image of one layer whose content is the given text."""

    media_type = MANIFEST

    def __init__(self, text):
        layer = gzip.compress(text.encode(), mtime=0)
        layers = {"type": "layers", "diff_ids": [digest_of(text.encode())]}
        config = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": layers}).encode()
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": descriptor("application/vnd.oci.image.config.v1+json", config),
            "layers": [descriptor("application/vnd.oci.image.layer.v1.tar+gzip", layer)],
        }
        self.blobs = [config, layer]
        self.manifest = json.dumps(manifest).encode()
        self.digest = digest_of(self.manifest)

    def write_layout(self, folder, tag):
        """Lays the image down as an OCI layout, which skopeo reads."""
        folder = pathlib.Path(folder)
        blobs = folder / "blobs" / "sha256"
        blobs.mkdir(parents=True)
        for blob in [self.manifest, *self.blobs]:
            (blobs / hashlib.sha256(blob).hexdigest()).write_bytes(blob)
        name = {"annotations": {"org.opencontainers.image.ref.name": tag}}
        index = {"schemaVersion": 2, "manifests": [descriptor(MANIFEST, self.manifest) | name]}
        (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
        (folder / "index.json").write_text(json.dumps(index))


class Index:
    """An index over images: one tag for several platforms."""

    media_type = INDEX

    def __init__(self, *images):
        manifests = [descriptor(MANIFEST, image.manifest) for image in images]
        self.manifest = json.dumps(
            {"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}
        ).encode()
        self.digest = digest_of(self.manifest)


class Client:
    """A user of a registry. A ledger notes each act on a manifest."""

    def __init__(self, registry, user, password, ledger):
        self.host, self.user, self.ledger = registry.host, user, ledger
        self.authorization = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    def request(self, method, path, body=b"", **headers):
        connection = http.client.HTTPConnection(self.host, timeout=PATIENCE_S)
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

    def push_blob(self, repository, blob):
        location = self.expect(202, "POST", f"/v2/{repository}/blobs/uploads/").headers["Location"]
        path = location.split(self.host, 1)[-1]
        self.expect(
            201,
            "PUT",
            f"{path}&digest={digest_of(blob)}",
            blob,
            Content_Type="application/octet-stream",
        )

    def mount_blob(self, repository, source, blob):
        self.expect(
            201, "POST", f"/v2/{repository}/blobs/uploads/?mount={digest_of(blob)}&from={source}"
        )

    def pull_blob(self, repository, blob):
        self.expect(200, "GET", f"/v2/{repository}/blobs/{digest_of(blob)}")

    def delete_blob(self, repository, blob):
        self.expect(202, "DELETE", f"/v2/{repository}/blobs/{digest_of(blob)}")

    def push(self, repository, reference, image):
        for blob in image.blobs:
            self.push_blob(repository, blob)
        self.put_manifest(repository, reference, image)

    def put_manifest(self, repository, reference, image):
        path = f"/v2/{repository}/manifests/{reference}"
        self.expect(201, "PUT", path, image.manifest, Content_Type=image.media_type)
        self.ledger.note_push(self.user, repository, reference, image.digest)

    def pull(self, repository, reference, status=200, **headers):
        path = f"/v2/{repository}/manifests/{reference}"
        self.expect(status, "GET", path, Accept=f"{MANIFEST}, {INDEX}", **headers)
        if status == 200:
            self.ledger.note_pull(self.user, repository, reference)

    def look(self, repository, reference):
        """Checks whether a manifest exists, as docker does before each pull. Not a pull."""
        self.expect(
            200, "HEAD", f"/v2/{repository}/manifests/{reference}", Accept=f"{MANIFEST}, {INDEX}"
        )

    def delete(self, repository, image):
        """Deletes a manifest by digest, and with it the tags that point to it."""
        self.expect(202, "DELETE", f"/v2/{repository}/manifests/{image.digest}")
        self.ledger.note_deletion(self.user, repository, image.digest)
