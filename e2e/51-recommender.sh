#!/bin/bash
# A student's recommender on a course's cluster: the administrator gives a namespace with quota, limits, a
# volume and a token; with that token alone the student runs a Job that writes a model to the volume and a
# Deployment that serves it. Then a new image under load, and a new model.
. "$(dirname "$0")/inputs.sh"

USER_YAML=${USER_YAML:-$MANIFESTS/recommender/user.yaml} APP=${APP:-$MANIFESTS/recommender/k8s} STUDENT=${STUDENT:-lena}
mount -t tmpfs none /home # where the volume is

check "registry" registry_up
check "images" eval 'push_standin gaalves/playlists-recommender-model:0.7 recommender-model 0.7 &&
        push_standin gaalves/playlists-recommender-model:0.8 recommender-model 0.8 &&
        push_standin gaalves/playlists-recommender-server:0.4 recommender-server 0.4 &&
        push_standin gaalves/playlists-recommender-server:0.5 recommender-server 0.5 &&
        push build-image/debian-base:bookworm-v1.0.4 --busybox -- sh'
whole_cluster

check "the administrator's part" kubectl apply -f "$USER_YAML"
has_token() { [ -n "$(kubectl -n "$STUDENT" get secret "$STUDENT" -o 'jsonpath={.data.token}')" ]; }
check "the Secret gets a token" eventually 5 has_token || exit

# What the student has is a file with the server, its certificate authority and the token.
student_config() {
        local token ca
        token=$(kubectl -n "$STUDENT" get secret "$STUDENT" -o 'jsonpath={.data.token}' | base64 -d)
        ca=$(kubectl -n "$STUDENT" get secret "$STUDENT" -o 'jsonpath={.data.ca\.crt}')
        cat >"$WORK/student.config" <<YAML
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://127.0.0.1:$PORT", certificate-authority-data: $ca}}]
users: [{name: u, user: {token: $token}}]
contexts: [{name: x, context: {cluster: c, user: u, namespace: $STUDENT}}]
current-context: x
YAML
        [ -n "$token" ] && [ -n "$ca" ]
}
student() { kubectl --kubeconfig="$WORK/student.config" "$@"; }
check "a kubeconfig of the token" student_config
refused "the student sees no nodes" "User \"system:serviceaccount:$STUDENT:$STUDENT\" cannot list resource \"nodes\" in API group \"\" at the cluster scope" student get nodes
refused "nor others' pods" "in the namespace \"kube-system\"" student get pods -n kube-system

says "the student applies" created student apply -f "$APP"
check "the Job completes" student wait --for=condition=complete job/model-job-v7 --timeout=20s
check "its model is in the folder behind the claim" grep -q "model 0.7" "/home/$STUDENT/project2-pv2/model"
check "the claim is Bound" field Bound -n "$STUDENT" persistentvolumeclaim/project2-pv2-"$STUDENT" '{.status.phase}'
check "the Deployment is rolled out" student rollout status deployment/server-deployment --timeout=20s
says "apply again changes nothing" "unchanged" student apply -f "$APP"
check "the quota counts the claim" eventually 5 field 1Gi -n "$STUDENT" "resourcequota/storage-consumption-$STUDENT" '{.status.used.requests\.storage}'
check "containers have the limits of the LimitRange" field "128M 1m 2G" -n "$STUDENT" pods \
        "-l app=$STUDENT-playlist-recommender" '{.items[0].spec.containers[0].resources.requests.memory} {.items[0].spec.containers[0].resources.requests.cpu} {.items[0].spec.containers[0].resources.limits.memory}'
refused "a claim over the quota" 'exceeded quota: storage-consumption-'"$STUDENT"', requested: requests.storage=1Gi, used: requests.storage=1Gi, limited: requests.storage=1Gi' \
        student apply -f - <<<"$(sed 's/^  name: .*/  name: second/' "$APP"/*ersistentVolumeClaim.yaml)"

URL=http://$(student get service "$STUDENT-playlist-recommender-service" -o 'jsonpath={.spec.clusterIP}'):52023/api/recommend
answers() { curl -fsS --max-time 2 "$URL" | grep -F "$1"; }
check "the Service answers from the model" eventually 5 answers "server 0.4, model 0.7"

# --- a new image under load ---
"$here/e2e/load.py" --timeout 3 "$URL" >"$WORK/load.json" &
load=$!
sleep 1
began=$(date +%s.%N)
check "a new image" student set image deployment/server-deployment server=quay.io/gaalves/playlists-recommender-server:0.5
check "is rolled out" student rollout status deployment/server-deployment --timeout=30s
one_pod() { [ "$(student get pods -l "app=$STUDENT-playlist-recommender" -o name | wc -l)" = 1 ]; }
check "the old pod goes" eventually 15 one_pod
check "the new server answers" answers "server 0.5, model 0.7"
sleep 1
kill -TERM $load
wait $load
echo "# under load: $(jq -c --argjson began "$began" '{ok, failed, seconds: [.when[] - $began]}' "$WORK/load.json")"
check "many requests were answered" [ "$(jq .ok "$WORK/load.json")" -gt 200 ]
check "not one failed" [ "$(jq '.failed | length' "$WORK/load.json")" = 0 ]

# --- a new model ---
sed 's/model-job-v7/model-job-v8/; s/model:0.7/model:0.8/' "$APP"/*model.deploy.yaml >"$WORK/job.yaml"
check "a second Job" student apply -f "$WORK/job.yaml"
check "completes" student wait --for=condition=complete job/model-job-v8 --timeout=20s
check "the same server answers from the new model" eventually 5 answers "server 0.5, model 0.8"
says "its log" "model 0.8 written" student logs job/model-job-v8

check "the namespace goes with all that is in it" kubectl delete namespace "$STUDENT" --timeout=40s
# The volume's reclaim policy is Recycle: it is emptied, and free for the next claim.
check "the volume is emptied" eventually 15 [ ! -e "/home/$STUDENT/project2-pv2/model" ]
check "and Available" eventually 10 field Available persistentvolume "project2-pv2-$STUDENT" '{.status.phase}'
says "its Events say so" "Volume recycled" kubectl get events -A --field-selector="involvedObject.name=project2-pv2-$STUDENT" -o 'jsonpath={.items[*].message}'
no_pod() { [ -z "$(kubectl get pods -A -o name)" ]; }
check "no pod is left" eventually 5 no_pod
