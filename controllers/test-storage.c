/* Volumes and claims: who gets whom, what becomes of them, and what protects them. */
#include "test-world.h"

#define VOLUME(name, size, more)                                                                   \
        "{'kind':'PersistentVolume','metadata':{'name':'" name "','uid':'" name "','finalizers':['kubernetes.io/pv-protection']}," \
        "'spec':{'capacity':{'storage':'" size "'},'accessModes':['ReadWriteOnce'],'storageClassName':'s'" more "}," \
        "'status':{'phase':'Available'}}"
#define CLAIM(name, size, more, status)                                                            \
        "{'kind':'PersistentVolumeClaim','metadata':{'name':'" name "','uid':'" name "','finalizers':['kubernetes.io/pvc-protection']}," \
        "'spec':{'accessModes':['ReadWriteOnce'],'resources':{'requests':{'storage':'" size "'}},'storageClassName':'s'" more "}," \
        "'status':{'phase':'" status "'}}"
#define REF(claim) ",'claimRef':{'namespace':'n','name':'" claim "','uid':'" claim "'}"

struct fit {
        const char *volume, *claim;
        bool fits;
};

/* One volume, one claim: bound or not. */
static void test_fit(void **state)
{
        static const struct fit cases[] = {
                { VOLUME("v", "1Gi", ""), CLAIM("c", "1Gi", "", "Pending"), true },
                { VOLUME("v", "2Gi", ""), CLAIM("c", "1Gi", "", "Pending"), true },
                { VOLUME("v", "1Gi", ""), CLAIM("c", "1025Mi", "", "Pending"), false },
                { VOLUME("v", "1Gi", ",'storageClassName':'other'"), CLAIM("c", "1Gi", "", "Pending"), false },
                { VOLUME("v", "1Gi", ",'volumeMode':'Block'"), CLAIM("c", "1Gi", "", "Pending"), false },
                { VOLUME("v", "1Gi", ",'volumeMode':'Block'"), CLAIM("c", "1Gi", ",'volumeMode':'Block'", "Pending"), true },
                { VOLUME("v", "1Gi", ""), CLAIM("c", "1Gi", ",'accessModes':['ReadWriteMany']", "Pending"), false },
                { VOLUME("v", "1Gi", REF("other")), CLAIM("c", "1Gi", "", "Pending"), false },
                { VOLUME("v", "1Gi", REF("c")), CLAIM("c", "9Gi", "", "Pending"), false },
                { VOLUME("v", "1Gi", REF("c")), CLAIM("c", "9Gi", ",'volumeName':'v'", "Pending"), true }, /* chosen by hand */
                { VOLUME("v", "1Gi", ",'storageClassName':'other'" REF("c")), CLAIM("c", "1Gi", "", "Pending"), true },
                { VOLUME("v", "1Gi", ""), CLAIM("c", "9Gi", ",'volumeName':'v'", "Pending"), false },
                { VOLUME("v", "1Gi", ""), CLAIM("c", "1Gi", ",'volumeAttributesClassName':'gold'", "Pending"), false },
                { "{'metadata':{'name':'v'},'spec':{'capacity':{'storage':'1Gi'},'accessModes':['ReadWriteOnce'],'storageClassName':'s'},"
                  "'status':{'phase':'Pending'}}", CLAIM("c", "1Gi", "", "Pending"), false },
                { VOLUME("v", "1Gi", ""), CLAIM("c", "1Gi", ",'selector':{'matchLabels':{'a':'b'}}", "Pending"), false },
                { VOLUME("v", "1Gi", ""), CLAIM("c", "1Gi", ",'volumeName':'w'", "Pending"), false },
                { VOLUME("v", "1Gi", ""), CLAIM("c", "1Gi", ",'volumeName':'v'", "Pending"), true },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                struct world *w;
                const char *out;

                setup(state);
                w = *state;
                put(w, R_PVS, cases[i].volume);
                put(w, R_PVCS, cases[i].claim);
                out = run(w, &claim_binder, "n/c");
                if ((str_has_prefix(out, "update persistentvolume")) != cases[i].fits)
                        fail_msg("case %zu: %s", i, out);
                teardown(state);
        }
}

static void test_smallest(void **state)
{
        struct world *w = *state;

        put(w, R_PVS, VOLUME("big", "10Gi", ""));
        put(w, R_PVS, VOLUME("mid", "2Gi", ""));
        put(w, R_PVS, VOLUME("small", "500Mi", ""));
        put(w, R_PVCS, CLAIM("c", "1Gi", "", "Pending"));
        assert_string_equal(run(w, &claim_binder, "n/c"), "update persistentvolumes mid\n");
        assert_string_equal(wrote(w, 0, "spec.claimRef.name"), "c");
        assert_string_equal(object_annotation(w->writes.items[0].body, "pv.kubernetes.io/bound-by-controller"), "yes");
}

/* After each step the next, whatever was written before a crash. */
static void test_steps(void **state)
{
        struct world *w = *state;

        put(w, R_PVS, VOLUME("v", "1Gi", REF("c")));
        put(w, R_PVCS, CLAIM("c", "1Gi", "", "Pending"));
        assert_string_equal(run(w, &claim_binder, "n/c"), "update persistentvolumeclaims c\n");
        assert_string_equal(wrote(w, 0, "spec.volumeName"), "v");
        put(w, R_PVCS, "{'kind':'PersistentVolumeClaim','metadata':{'name':'c','uid':'c','annotations':{'pv.kubernetes.io/bind-completed':"
                       "'yes'}},'spec':{'accessModes':['ReadWriteOnce'],'storageClassName':'s','volumeName':'v'},'status':"
                       "{'phase':'Pending'}}");
        assert_string_equal(run(w, &claim_binder, "n/c"), "update persistentvolumeclaims/status c\n");
        assert_string_equal(wrote(w, 0, "status.phase"), "Bound");
        assert_string_equal(wrote(w, 0, "status.capacity.storage"), "1Gi");
        assert_string_equal(run(w, &volume_phases, "v"), "update persistentvolumes/status v\n");
        assert_string_equal(wrote(w, 0, "status.phase"), "Bound");
}

static void test_waiting(void **state)
{
        struct world *w = *state;

        w->settings.pv_sync_ns = SECONDS(15);
        put(w, R_PVCS, CLAIM("c", "1Gi", "", "Pending"));
        assert_string_equal(run(w, &claim_binder, "n/c"), "event ProvisioningFailed\n");
        assert_string_equal(w->writes.items[0].done.message, "storageclass.storage.k8s.io \"s\" not found");
        assert_int_equal(w->writes.requeue_after, SECONDS(15));
        put(w, R_STORAGECLASSES, "{'metadata':{'name':'s'},'provisioner':'kubernetes.io/no-provisioner','volumeBindingMode':"
                                 "'WaitForFirstConsumer'}");
        put(w, R_PVS, VOLUME("v", "1Gi", ""));
        assert_string_equal(run(w, &claim_binder, "n/c"), "event WaitForFirstConsumer\n");
        put(w, R_PODS, "{'metadata':{'name':'p'},'spec':{'volumes':[{'persistentVolumeClaim':{'claimName':'c'}}]}}");
        assert_string_equal(run(w, &claim_binder, "n/c"), "event WaitForPodScheduled\n");
        assert_string_equal(w->writes.items[0].done.message, "waiting for pod p to be scheduled");
        put(w, R_PVS, VOLUME("v", "1Gi", REF("c"))); /* the scheduler has chosen */
        assert_string_equal(run(w, &claim_binder, "n/c"), "update persistentvolumeclaims c\n");
}

/* A claim that names a volume hears why it does not get it. */
static void test_named(void **state)
{
        struct world *w = *state;

        put(w, R_PVCS, CLAIM("c", "2Gi", ",'volumeName':'v'", "Pending"));
        assert_string_equal(run(w, &claim_binder, "n/c"), "");
        put(w, R_PVS, VOLUME("v", "1Gi", ""));
        assert_string_equal(run(w, &claim_binder, "n/c"), "event VolumeMismatch\n");
        assert_string_equal(w->writes.items[0].done.message, "Cannot bind to requested volume \"v\": requested PV is too small");
        put(w, R_PVS, VOLUME("v", "2Gi", REF("d")));
        assert_string_equal(run(w, &claim_binder, "n/c"), "event FailedBinding\n");
}

/* A default class that comes later is given to claims without one. */
static void test_default_class(void **state)
{
        struct world *w = *state;

        put(w, R_PVCS, "{'metadata':{'name':'c','uid':'c'},'spec':{'accessModes':['ReadWriteOnce']},'status':{'phase':'Pending'}}");
        assert_string_equal(run(w, &claim_binder, "n/c"), "event FailedBinding\n");
        put(w, R_STORAGECLASSES, "{'metadata':{'name':'d','annotations':{'storageclass.kubernetes.io/is-default-class':'true'}},"
                                 "'provisioner':'example.com/disks'}");
        assert_string_equal(run(w, &claim_binder, "n/c"), "update persistentvolumeclaims c\n");
        assert_string_equal(wrote(w, 0, "spec.storageClassName"), "d");
}

static void test_provisioner(void **state)
{
        struct world *w = *state;

        put(w, R_STORAGECLASSES, "{'metadata':{'name':'s'},'provisioner':'example.com/disks'}");
        put(w, R_PVCS, CLAIM("c", "1Gi", "", "Pending"));
        assert_string_equal(run(w, &claim_binder, "n/c"), "update persistentvolumeclaims c\n");
        put(w, R_PVCS, "{'metadata':{'name':'c','uid':'c','annotations':{'volume.kubernetes.io/storage-provisioner':'example.com/disks'}},"
                       "'spec':{'accessModes':['ReadWriteOnce'],'storageClassName':'s'},'status':{'phase':'Pending'}}");
        assert_string_equal(run(w, &claim_binder, "n/c"), "event ExternalProvisioning\n");
}

static void test_lost(void **state)
{
        struct world *w = *state;

        put(w, R_PVCS, "{'metadata':{'name':'c','uid':'c','annotations':{'pv.kubernetes.io/bind-completed':'yes'}},'spec':"
                       "{'volumeName':'v','storageClassName':'s'},'status':{'phase':'Bound','capacity':{'storage':'1Gi'}}}");
        assert_string_equal(run(w, &claim_binder, "n/c"), "update persistentvolumeclaims/status c\nevent ClaimLost\n");
        assert_string_equal(wrote(w, 0, "status.phase"), "Lost");
        assert_null(wrote(w, 0, "status.capacity.storage"));
}

/* The claim is gone: first Released, then by policy. */
static void test_reclaim(void **state)
{
        static const char *const cases[][2] = {
                { "'persistentVolumeReclaimPolicy':'Retain','hostPath':{'path':'/tmp/x'}", "" },
                { "'persistentVolumeReclaimPolicy':'Delete','hostPath':{'path':'/data'}",
                  "absent persistentvolumeclaims c\nupdate persistentvolumes/status v\nevent VolumeFailedDelete\n" },
                { "'persistentVolumeReclaimPolicy':'Delete','hostPath':{'path':'/tmp/../data'}",
                  "absent persistentvolumeclaims c\nupdate persistentvolumes/status v\nevent VolumeFailedDelete\n" },
                { "'persistentVolumeReclaimPolicy':'Delete','hostPath':{'path':'/tmp/x'}",
                  "absent persistentvolumeclaims c\nwork persistentvolumes /tmp/x\ndelete persistentvolumes v\n" },
                { "'persistentVolumeReclaimPolicy':'Delete','csi':{'driver':'x'}", "" },
                { "'persistentVolumeReclaimPolicy':'Recycle','csi':{'driver':'x'}",
                  "absent persistentvolumeclaims c\nupdate persistentvolumes/status v\nevent VolumeFailedRecycle\n" },
                { "'persistentVolumeReclaimPolicy':'Recycle','hostPath':{'path':'/data'}",
                  "absent persistentvolumeclaims c\ncreate pods recycler-for-v\n" },
        };
        struct world *w = *state;

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                put(w, R_PVS, arena_printf(w->arena, "{'metadata':{'name':'v','uid':'v'},'spec':{%s" REF("c") "},'status':{'phase':'Bound'}}",
                                           cases[i][0]));
                assert_string_equal(run(w, &volume_phases, "v"),
                                    "absent persistentvolumeclaims c\nupdate persistentvolumes/status v\n");
                assert_string_equal(wrote(w, 1, "status.phase"), "Released");
                put(w, R_PVS, arena_printf(w->arena, "{'metadata':{'name':'v','uid':'v'},'spec':{%s" REF("c") "},'status':{'phase':'Released'}}",
                                           cases[i][0]));
                assert_string_equal(run(w, &volume_phases, "v"), cases[i][1]);
        }
}

static void test_recycle(void **state)
{
        struct world *w = *state;

        put(w, R_PVS, "{'metadata':{'name':'v','uid':'v'},'spec':{'persistentVolumeReclaimPolicy':'Recycle','capacity':{'storage':'4Gi'},"
                      "'hostPath':{'path':'/data'}" REF("c") "},'status':{'phase':'Released'}}");
        run(w, &volume_phases, "v");
        assert_int_equal(json_path_int(w->writes.items[1].body, "spec.activeDeadlineSeconds", 0), 120);
        put(w, R_PODS, "{'metadata':{'namespace':'default','name':'recycler-for-v','uid':'p'},'spec':{},'status':{'phase':'Running'}}");
        assert_string_equal(run(w, &volume_phases, "v"), "");
        put(w, R_PODS, "{'metadata':{'namespace':'default','name':'recycler-for-v','uid':'p'},'spec':{},'status':{'phase':'Failed','message':'no'}}");
        assert_string_equal(run(w, &volume_phases, "v"), "absent persistentvolumeclaims c\ndelete pods recycler-for-v\n"
                                                         "update persistentvolumes/status v\nevent VolumeFailedRecycle\n");
        assert_string_equal(wrote(w, 2, "status.message"), "Recycle failed: no");
        put(w, R_PODS, "{'metadata':{'namespace':'default','name':'recycler-for-v','uid':'p'},'spec':{},'status':{'phase':'Succeeded'}}");
        assert_string_equal(run(w, &volume_phases, "v"),
                            "absent persistentvolumeclaims c\nupdate persistentvolumes v\ndelete pods recycler-for-v\n");
        assert_null(json_path(w->writes.items[1].body, "spec.claimRef"));
}

static void test_protection(void **state)
{
        struct world *w = *state;

        put(w, R_PVCS, "{'metadata':{'name':'c','uid':'c'},'spec':{}}");
        assert_string_equal(run(w, &claim_protection_controller, "n/c"), "update persistentvolumeclaims c\n");
        put(w, R_PVCS, "{'metadata':{'name':'c','uid':'c','deletionTimestamp':'1970-01-01T00:00:00Z','finalizers':"
                       "['kubernetes.io/pvc-protection']},'spec':{}}");
        put(w, R_PODS, "{'metadata':{'name':'p','uid':'p'},'spec':{'nodeName':'x','volumes':[{'name':'d','persistentVolumeClaim':"
                       "{'claimName':'c'}}]}}");
        assert_string_equal(run(w, &claim_protection_controller, "n/c"), "");
        put(w, R_PODS, "{'metadata':{'name':'p','uid':'p'},'spec':{'volumes':[{'name':'d','persistentVolumeClaim':{'claimName':'c'}}]}}");
        assert_string_equal(run(w, &claim_protection_controller, "n/c"), "update persistentvolumeclaims c\n");

        put(w, R_PVS, "{'metadata':{'name':'v','uid':'v','deletionTimestamp':'1970-01-01T00:00:00Z','finalizers':"
                      "['kubernetes.io/pv-protection']},'status':{'phase':'Bound'}}");
        assert_string_equal(run(w, &volume_protection_controller, "v"), "");
        put(w, R_PVS, "{'metadata':{'name':'v','uid':'v','deletionTimestamp':'1970-01-01T00:00:00Z','finalizers':"
                      "['kubernetes.io/pv-protection']},'status':{'phase':'Released'}}");
        assert_string_equal(run(w, &volume_protection_controller, "v"), "update persistentvolumes v\n");
}

#define GOING "'deletionTimestamp':'1970-01-01T00:00:00Z'"

/* A class of attributes stays while a claim or a volume names it. */
static void test_attributes(void **state)
{
        struct world *w = *state;

        put(w, R_ATTRIBUTES, "{'metadata':{'name':'gold','uid':'g'}}");
        assert_string_equal(run(w, &attributes_protection_controller, "gold"), "update volumeattributesclasses gold\n");
        put(w, R_ATTRIBUTES, "{'metadata':{'name':'gold','uid':'g','finalizers':['kubernetes.io/vac-protection']," GOING "}}");
        put(w, R_PVCS, CLAIM("c", "1Gi", ",'volumeAttributesClassName':'gold'", "Bound"));
        assert_string_equal(run(w, &attributes_protection_controller, "gold"), "");
        put(w, R_PVCS, CLAIM("c", "1Gi", "", "Bound"));
        assert_string_equal(run(w, &attributes_protection_controller, "gold"), "update volumeattributesclasses gold\n");
}

#define RANGE(name, cidr, more) "{'metadata':{'name':'" name "','uid':'" name "'" more "},'spec':{'cidrs':['" cidr "']}}"
#define HELD ",'finalizers':['networking.k8s.io/service-cidr-finalizer']," GOING

/* A range stays while an address comes from it alone. */
static void test_ranges(void **state)
{
        struct world *w = *state;

        put(w, R_SERVICECIDRS, RANGE("r", "10.1.0.0/24", ""));
        assert_string_equal(run(w, &service_cidr_controller, "r"), "patch servicecidrs r\napply servicecidrs/status r\n");
        put(w, R_SERVICECIDRS, RANGE("r", "10.1.0.0/24", HELD));
        put(w, R_IPADDRESSES, "{'metadata':{'name':'10.1.0.7','labels':{'ipaddress.kubernetes.io/managed-by':'ipallocator.k8s.io'}}}");
        assert_string_equal(run(w, &service_cidr_controller, "r"), "apply servicecidrs/status r\n");
        put(w, R_SERVICECIDRS, RANGE("other", "10.1.0.128/25", ""));
        assert_string_equal(run(w, &service_cidr_controller, "r"), "apply servicecidrs/status r\n");
        put(w, R_SERVICECIDRS, RANGE("wider", "10.0.0.0/8", ""));
        assert_string_equal(run(w, &service_cidr_controller, "r"), "patch servicecidrs r\n");
}

#define DRA_POD(phase) "{'kind':'Pod','apiVersion':'v1','metadata':{'name':'p','uid':'P'},'spec':{'resourceClaims':[{'name':'x'," \
                       "'resourceClaimTemplateName':'t'}]},'status':{'phase':'" phase "'}}"

static void test_resource_claims(void **state)
{
        struct world *w = *state;

        put(w, R_PODS, DRA_POD("Pending"));
        assert_string_equal(run(w, &resource_claim_controller, "pod/n/p"), "event FailedResourceClaimCreation\n");
        put(w, R_CLAIMTEMPLATES, "{'metadata':{'name':'t'},'spec':{'metadata':{'labels':{'a':'b'}},'spec':{'devices':{}}}}");
        assert_string_equal(run(w, &resource_claim_controller, "pod/n/p"), "create resourceclaims\n");
        assert_string_equal(wrote(w, 0, "metadata.generateName"), "p-x-");
        assert_string_equal(wrote(w, 0, "metadata.labels.a"), "b");
        put(w, R_CLAIMS, "{'metadata':{'name':'p-x-1','uid':'C','annotations':{'resource.kubernetes.io/pod-claim-name':'x'},'ownerReferences':"
                         "[{'kind':'Pod','name':'p','uid':'P','controller':true}],'finalizers':['resource.kubernetes.io/delete-protection']},"
                         "'spec':{},'status':{'allocation':{},'reservedFor':[{'resource':'pods','name':'p','uid':'P'}]}}");
        assert_string_equal(run(w, &resource_claim_controller, "pod/n/p"), "apply pods/status p\n");
        assert_string_equal(run(w, &resource_claim_controller, "claim/n/p-x-1"), "");
        put(w, R_PODS, DRA_POD("Succeeded"));
        assert_string_equal(run(w, &resource_claim_controller, "claim/n/p-x-1"), "update resourceclaims/status p-x-1\n");
        assert_null(json_path(w->writes.items[0].body, "status.allocation"));
        put(w, R_CLAIMS, "{'metadata':{'name':'p-x-1','uid':'C','ownerReferences':[{'kind':'Pod','name':'p','uid':'P','controller':true}]},"
                         "'spec':{}}");
        assert_string_equal(run(w, &resource_claim_controller, "claim/n/p-x-1"), "delete resourceclaims p-x-1\n");
}

static void test_ephemeral(void **state)
{
        struct world *w = *state;

        put(w, R_PODS, "{'metadata':{'name':'p','uid':'p'},'spec':{'volumes':[{'name':'d','ephemeral':{'volumeClaimTemplate':{'metadata':"
                       "{'labels':{'a':'b'}},'spec':{'storageClassName':'s'}}}},{'name':'e','emptyDir':{}}]}}");
        assert_string_equal(run(w, &ephemeral_controller, "n/p"), "create persistentvolumeclaims p-d\n");
        assert_string_equal(wrote(w, 0, "spec.storageClassName"), "s");
        assert_true(object_is_controlled_by(w->writes.items[0].body, "p"));
        put(w, R_PVCS, "{'metadata':{'name':'p-d','uid':'x'}}");
        assert_string_equal(run(w, &ephemeral_controller, "n/p"), "event FailedBinding\n");
        assert_string_equal(w->writes.items[0].done.message, "ephemeral volume d: PVC n/p-d was not created for pod n/p (pod is not owner)");
        put(w, R_PVCS, "{'metadata':{'name':'p-d','uid':'x','ownerReferences':[{'kind':'Pod','name':'p','uid':'p','controller':true}]}}");
        assert_string_equal(run(w, &ephemeral_controller, "n/p"), "");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_fit), TEST(test_smallest), TEST(test_steps),   TEST(test_waiting),
                TEST(test_provisioner), TEST(test_named), TEST(test_default_class),     TEST(test_lost),     TEST(test_reclaim), TEST(test_protection),
                TEST(test_ephemeral),  TEST(test_resource_claims), TEST(test_attributes),  TEST(test_ranges),       TEST(test_recycle),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
