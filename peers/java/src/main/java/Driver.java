// Peer driver: queries a Daybook server with the vendor's Java SDK and prints a JSON object per call.

import com.huaweicloud.sdk.codeartsartifact.v2.CodeArtsArtifactClient;
import com.huaweicloud.sdk.codeartsartifact.v2.model.ShowAuditRequest;
import com.huaweicloud.sdk.codeartsartifact.v2.model.ShowAuditResponse;
import com.huaweicloud.sdk.core.ClientBuilder;
import com.huaweicloud.sdk.core.SdkResponse;
import com.huaweicloud.sdk.core.auth.BasicCredentials;
import com.huaweicloud.sdk.core.exception.ServiceResponseException;
import com.huaweicloud.sdk.core.region.Region;
import com.huaweicloud.sdk.core.utils.JsonUtils;
import com.huaweicloud.sdk.dbss.v1.model.ListAuditOperateLogsRequest;
import com.huaweicloud.sdk.dbss.v1.model.ListAuditOperateLogsResponse;
import com.huaweicloud.sdk.dbss.v1.model.OperateLogGetRequest;
import com.huaweicloud.sdk.dbss.v1.model.TimeRangeBean;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.function.Supplier;

public final class Driver {
    private static final int PAGE_LIMIT = 3;

    private Driver() {
    }

    public static void main(String[] args) {
        int exitCode = 0;
        try {
            swrCalls();
            artifactCalls();
            gaussdbCalls();
            dbssCalls();
            swrPages();
            swrByRegion();
            wrongSecret();
        } catch (RuntimeException e) {
            e.printStackTrace();
            exitCode = 1;
        }
        // Idle HTTP threads of the SDK would otherwise delay the end.
        System.exit(exitCode);
    }

    private static void swrCalls() {
        MissingCalls.Swr client = connect(new ClientBuilder<>(MissingCalls.Swr::new), env("CLOUD_SDK_SK"));
        both("swr.ListAuditLogs", operation -> swrAnswer(client, operation), "pull", "update");
    }

    private static void artifactCalls() {
        CodeArtsArtifactClient client = connect(CodeArtsArtifactClient.newBuilder(), env("CLOUD_SDK_SK"));
        both("codeartsartifact.ShowAudit", size -> artifactAnswer(client, size), 10, 101);
    }

    private static Map<String, Object> artifactAnswer(CodeArtsArtifactClient client, int size) {
        ShowAuditResponse response = client.showAudit(new ShowAuditRequest()
                .withTenantId(env("TENANT_ID"))
                .withProjectId(env("PROJECT_ID"))
                .withModule("file")
                .withRepo(env("ARTIFACT_REPO"))
                .withPageNum(1)
                .withPageSize(size));
        // The pinned SDK types the result as Object, so it arrives as a map.
        Map<?, ?> result = (Map<?, ?>) response.getResult();
        return page(response, result.get("total"), result.get("auditInfoList"));
    }

    private static void gaussdbCalls() {
        MissingCalls.Gaussdb client = connect(new ClientBuilder<>(MissingCalls.Gaussdb::new), env("CLOUD_SDK_SK"));
        both("gaussdb.ListAuditLogs", limit -> gaussdbAnswer(client, limit), 10, 101);
    }

    private static Map<String, Object> gaussdbAnswer(MissingCalls.Gaussdb client, int limit) {
        MissingCalls.GaussdbAnswer response = client.listAuditLogs(new MissingCalls.GaussdbQuery(
                env("TAURUS_INSTANCE"), env("TAURUS_START"), env("TAURUS_END"), 0, limit));
        return page(response, response.totalCount, response.auditLogs);
    }

    private static void dbssCalls() {
        MissingCalls.Dbss client = connect(new ClientBuilder<>(MissingCalls.Dbss::new), env("CLOUD_SDK_SK"));
        both("dbss.ListAuditOperateLogsNew",
                number -> dbssAnswer(client.listAuditOperateLogsNew(dbssRequest(number))), "1", "0");
        both("dbss.ListAuditOperateLogs",
                number -> dbssAnswer(client.listAuditOperateLogs(dbssRequest(number))), "1", "0");
    }

    private static ListAuditOperateLogsRequest dbssRequest(String number) {
        // The pinned SDK's constant for MONTH has a leading blank in its value, hence fromValue.
        TimeRangeBean time = new TimeRangeBean().withTimeRange(TimeRangeBean.TimeRangeEnum.fromValue("MONTH"));
        return new ListAuditOperateLogsRequest()
                .withInstanceId(env("DBSS_INSTANCE"))
                .withBody(new OperateLogGetRequest().withTime(time).withPage(number).withSize("10"));
    }

    private static Map<String, Object> dbssAnswer(ListAuditOperateLogsResponse response) {
        return page(response, response.getTotalNum(), response.getOperateLog());
    }

    /** Reads every page of every operation until a page comes back empty. */
    private static void swrPages() {
        MissingCalls.Swr client = connect(new ClientBuilder<>(MissingCalls.Swr::new), env("CLOUD_SDK_SK"));
        report("swr pages", () -> {
            List<Long> ids = new ArrayList<>();
            for (String operation : List.of("pull", "delete", "create")) {
                ids.addAll(operationPages(client, operation));
            }
            return line("ids", ids);
        });
    }

    private static List<Long> operationPages(MissingCalls.Swr client, String operation) {
        List<Long> ids = new ArrayList<>();
        for (int offset = 0; ; offset += PAGE_LIMIT) {
            MissingCalls.SwrAnswer response = swrPage(client, operation, offset, PAGE_LIMIT);
            if (response.auditLogs.isEmpty()) {
                return ids;
            }
            response.auditLogs.forEach(row -> ids.add(row.id()));
            if (ids.size() > response.total) {
                throw new IllegalStateException("swr pages: more rows than total");
            }
        }
    }

    /** Leaves the project id to the SDK, which looks it up by region name. */
    private static void swrByRegion() {
        BasicCredentials credentials = new BasicCredentials()
                .withAk(env("CLOUD_SDK_AK"))
                .withSk(env("CLOUD_SDK_SK"))
                .withIamEndpoint(env("DAYBOOK_URL"));
        MissingCalls.Swr client = new ClientBuilder<>(MissingCalls.Swr::new)
                .withRegion(new Region("cn-north-4", env("DAYBOOK_URL")))
                .withCredential(credentials)
                .build();
        report("swr by region", () -> line("total", swrPage(client, "pull", 0, 10).total));
    }

    private static void wrongSecret() {
        MissingCalls.Swr client =
                connect(new ClientBuilder<>(MissingCalls.Swr::new), "wrong-" + env("CLOUD_SDK_SK"));
        report("wrong secret", () -> swrAnswer(client, "pull"));
    }

    private static Map<String, Object> swrAnswer(MissingCalls.Swr client, String operation) {
        MissingCalls.SwrAnswer response = swrPage(client, operation, 0, 10);
        return page(response, response.total, response.auditLogs);
    }

    private static MissingCalls.SwrAnswer swrPage(MissingCalls.Swr client, String operation, int offset, int limit) {
        return client.listAuditLogs(new MissingCalls.SwrQuery(env("SWR_INSTANCE"), operation, offset, limit));
    }

    private static <T> T connect(ClientBuilder<T> builder, String secret) {
        BasicCredentials credentials = new BasicCredentials()
                .withAk(env("CLOUD_SDK_AK"))
                .withSk(secret)
                .withProjectId(env("PROJECT_ID"));
        return builder.withEndpoint(env("DAYBOOK_URL")).withCredential(credentials).build();
    }

    private static <A> void both(String call, Function<A, Map<String, Object>> ask, A good, A bad) {
        report(call, () -> ask.apply(good));
        report(call + " bad", () -> ask.apply(bad));
    }

    /** Prints the answer or the service's refusal; any other failure ends the program. */
    private static void report(String call, Supplier<Map<String, Object>> ask) {
        Map<String, Object> line = line("call", call);
        try {
            line.putAll(ask.get());
        } catch (ServiceResponseException refusal) {
            line.put("error", refusal(refusal));
        }
        System.out.println(JsonUtils.toJSON(line));
    }

    private static Map<String, Object> refusal(ServiceResponseException refusal) {
        Map<String, Object> error = line("status", refusal.getHttpStatusCode());
        error.put("code", refusal.getErrorCode());
        error.put("message", refusal.getErrorMsg());
        error.put("request_id", refusal.getRequestId());
        return error;
    }

    private static Map<String, Object> page(SdkResponse response, Object total, Object rows) {
        Map<String, Object> page = line("status", response.getHttpStatusCode());
        page.put("total", total);
        page.put("rows", rows);
        return page;
    }

    private static Map<String, Object> line(String name, Object value) {
        Map<String, Object> line = new LinkedHashMap<>();
        line.put(name, value);
        return line;
    }

    private static String env(String name) {
        String value = System.getenv(name);
        if (value == null || value.isEmpty()) {
            throw new IllegalStateException(name + " is not set");
        }
        return value;
    }
}
