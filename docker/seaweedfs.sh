#!/bin/sh
# Starts SeaweedFS as the object store: S3 for the other containers, all its other ports on this one's loopback.
# Two identities: `admin` makes the bucket, `poseline` works in it. Secrets go through files, never as arguments.
set -eu
umask 077
data=${DATA_DIR:-/data}
run=${RUN_DIR:-/run/poseline}
if [ "$(id -u)" = 0 ] && command -v su-exec > /dev/null; then
    # A new volume belongs to root; give it to seaweed once.
    [ "$(stat -c %u "$data")" = "$(id -u seaweed)" ] || chown -R seaweed:seaweed "$data"
    exec su-exec seaweed /bin/sh "$0" "$@"
fi
for value in "${S3_ADMIN_ACCESS_KEY:?}" "${S3_ADMIN_SECRET_KEY:?}" "${S3_ACCESS_KEY:?}" "${S3_SECRET_KEY:?}" \
    "${S3_INTERNAL_KEY:?}" "${S3_BUCKET:?}"; do
    case $value in
        *[!A-Za-z0-9_.-]*) echo "the POSELINE_S3_ values may hold letters, digits, - _ and . only" >&2; exit 2 ;;
    esac
done
cat > "$run/s3.json" <<JSON
{"identities": [
  {"name": "admin",
   "credentials": [{"accessKey": "$S3_ADMIN_ACCESS_KEY", "secretKey": "$S3_ADMIN_SECRET_KEY"}],
   "actions": ["Admin"]},
  {"name": "poseline",
   "credentials": [{"accessKey": "$S3_ACCESS_KEY", "secretKey": "$S3_SECRET_KEY"}],
   "actions": ["Read:$S3_BUCKET", "Write:$S3_BUCKET", "List:$S3_BUCKET", "Tagging:$S3_BUCKET"]}
]}
JSON
# Without these keys anybody who reaches the internal HTTP ports could read and delete objects.
: > "$run/security.toml"
for table in jwt.signing jwt.signing.read jwt.filer_signing jwt.filer_signing.read; do
    printf '[%s]\nkey = "%s.%s"\n' "$table" "$table" "$S3_INTERNAL_KEY" >> "$run/security.toml"
done
cd "$run"  # weed reads security.toml from the working directory
port=${PORT:-8333}
# As in pipeline/local/servers.py, which gives the reason for each flag.
exec weed -logtostderr=true server -ip=127.0.0.1 -ip.bind=127.0.0.1 -dir="$data" -filer \
    -s3 -s3.config="$run/s3.json" -s3.ip.bind="${BIND:-0.0.0.0}" -s3.port="$port" \
    -s3.port.grpc=$((port + 10000)) -s3.port.iceberg=0 -s3.port.lance=0 -s3.iam=false -s3.autoCreateBucket=false \
    -disableHttp=true -filer.disableHttp=true -volume.max=100 -master.telemetry=false "$@"
