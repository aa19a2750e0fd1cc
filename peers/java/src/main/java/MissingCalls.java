// Audit queries that the pinned SDK packages do not have yet, added to the vendor's own client classes.

import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.annotation.JsonProperty;
import com.huaweicloud.sdk.core.HcClient;
import com.huaweicloud.sdk.core.SdkResponse;
import com.huaweicloud.sdk.core.http.FieldExistence;
import com.huaweicloud.sdk.core.http.HttpMethod;
import com.huaweicloud.sdk.core.http.HttpRequestDef;
import com.huaweicloud.sdk.core.http.LocationType;
import com.huaweicloud.sdk.dbss.v1.DbssClient;
import com.huaweicloud.sdk.dbss.v1.model.ListAuditOperateLogsRequest;
import com.huaweicloud.sdk.dbss.v1.model.ListAuditOperateLogsResponse;
import com.huaweicloud.sdk.dbss.v1.model.OperateLogGetRequest;
import com.huaweicloud.sdk.gaussdb.v3.GaussDBClient;
import com.huaweicloud.sdk.swr.v2.SwrClient;
import java.util.List;
import java.util.function.Function;

final class MissingCalls {
    private MissingCalls() {
    }

    static final class Swr extends SwrClient {
        private static final HttpRequestDef<SwrQuery, SwrAnswer> LIST_AUDIT_LOGS =
                new Definition<>(HttpMethod.GET, SwrQuery.class, SwrAnswer.class)
                        .path("instance_id", SwrQuery::instanceId)
                        .query("operation", String.class, SwrQuery::operation)
                        .query("offset", Integer.class, SwrQuery::offset)
                        .query("limit", Integer.class, SwrQuery::limit)
                        .build("ListAuditLogs", "/v2/{project_id}/instances/{instance_id}/audit-logs");

        Swr(HcClient client) {
            super(client);
        }

        SwrAnswer listAuditLogs(SwrQuery query) {
            return hcClient.syncInvokeHttp(query, LIST_AUDIT_LOGS);
        }
    }

    static final class Gaussdb extends GaussDBClient {
        private static final HttpRequestDef<GaussdbQuery, GaussdbAnswer> LIST_AUDIT_LOGS =
                new Definition<>(HttpMethod.GET, GaussdbQuery.class, GaussdbAnswer.class)
                        .path("instance_id", GaussdbQuery::instanceId)
                        .query("start_time", String.class, GaussdbQuery::startTime)
                        .query("end_time", String.class, GaussdbQuery::endTime)
                        .query("offset", Integer.class, GaussdbQuery::offset)
                        .query("limit", Integer.class, GaussdbQuery::limit)
                        .build("ListAuditLogs", "/v3/{project_id}/instances/{instance_id}/audit-logs");

        Gaussdb(HcClient client) {
            super(client);
        }

        GaussdbAnswer listAuditLogs(GaussdbQuery query) {
            return hcClient.syncInvokeHttp(query, LIST_AUDIT_LOGS);
        }
    }

    static final class Dbss extends DbssClient {
        private static final HttpRequestDef<ListAuditOperateLogsRequest, ListAuditOperateLogsResponse> LIST_NEW =
                new Definition<>(HttpMethod.POST, ListAuditOperateLogsRequest.class, ListAuditOperateLogsResponse.class)
                        .path("instance_id", ListAuditOperateLogsRequest::getInstanceId)
                        .body(OperateLogGetRequest.class, ListAuditOperateLogsRequest::getBody)
                        .build("ListAuditOperateLogsNew", "/v1/{project_id}/audit/{instance_id}/operation-log");

        Dbss(HcClient client) {
            super(client);
        }

        ListAuditOperateLogsResponse listAuditOperateLogsNew(ListAuditOperateLogsRequest request) {
            return hcClient.syncInvokeHttp(request, LIST_NEW);
        }
    }

    record SwrQuery(String instanceId, String operation, Integer offset, Integer limit) {
    }

    record GaussdbQuery(String instanceId, String startTime, String endTime, Integer offset, Integer limit) {
    }

    static final class SwrAnswer extends SdkResponse {
        @JsonProperty("audit_logs")
        List<SwrRow> auditLogs;
        @JsonProperty("total")
        Integer total;
    }

    static final class GaussdbAnswer extends SdkResponse {
        @JsonProperty("audit_logs")
        List<GaussdbRow> auditLogs;
        @JsonProperty("total_count")
        Integer totalCount;
    }

    @JsonInclude(JsonInclude.Include.NON_NULL)
    record SwrRow(
            @JsonProperty("id") Long id,
            @JsonProperty("operation") String operation,
            @JsonProperty("resource_type") String resourceType,
            @JsonProperty("resource") String resource,
            @JsonProperty("username") String username,
            @JsonProperty("op_time") String opTime) {
    }

    @JsonInclude(JsonInclude.Include.NON_NULL)
    record GaussdbRow(
            @JsonProperty("id") String id,
            @JsonProperty("name") String name,
            @JsonProperty("size") Long size,
            @JsonProperty("begin_time") String beginTime,
            @JsonProperty("end_time") String endTime) {
    }

    /** Collects the fields of one operation; the SDK never writes into a request, so no writers. */
    private static final class Definition<R, S> {
        private final HttpRequestDef.Builder<R, S> builder;

        Definition(HttpMethod method, Class<R> request, Class<S> response) {
            builder = HttpRequestDef.builder(method, request, response)
                    .withContentType(method == HttpMethod.POST ? "application/json;charset=UTF-8" : "application/json");
        }

        Definition<R, S> path(String name, Function<R, String> reader) {
            return field(name, LocationType.Path, FieldExistence.NON_NULL_NON_EMPTY, String.class, reader);
        }

        <F> Definition<R, S> query(String name, Class<F> type, Function<R, F> reader) {
            return field(name, LocationType.Query, FieldExistence.NULL_IGNORE, type, reader);
        }

        <F> Definition<R, S> body(Class<F> type, Function<R, F> reader) {
            return field("body", LocationType.Body, FieldExistence.NON_NULL_NON_EMPTY, type, reader);
        }

        HttpRequestDef<R, S> build(String name, String uri) {
            return builder.withName(name).withUri(uri).build();
        }

        private <F> Definition<R, S> field(
                String name, LocationType location, FieldExistence existence, Class<F> type, Function<R, F> reader) {
            builder.withRequestField(name, location, existence, type, field -> field.withReader(reader));
            return this;
        }
    }
}
