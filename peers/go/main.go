// Peer driver: queries a Daybook server with the vendor's Go SDK and prints a JSON object per call.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/auth/basic"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/region"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/sdkerr"
	artifact "github.com/huaweicloud/huaweicloud-sdk-go-v3/services/codeartsartifact/v2"
	artifactmodel "github.com/huaweicloud/huaweicloud-sdk-go-v3/services/codeartsartifact/v2/model"
	dbss "github.com/huaweicloud/huaweicloud-sdk-go-v3/services/dbss/v1"
	dbssmodel "github.com/huaweicloud/huaweicloud-sdk-go-v3/services/dbss/v1/model"
	gaussdb "github.com/huaweicloud/huaweicloud-sdk-go-v3/services/gaussdb/v3"
	gaussdbmodel "github.com/huaweicloud/huaweicloud-sdk-go-v3/services/gaussdb/v3/model"
	swr "github.com/huaweicloud/huaweicloud-sdk-go-v3/services/swr/v2"
	swrmodel "github.com/huaweicloud/huaweicloud-sdk-go-v3/services/swr/v2/model"
)

const pageLimit = 3

// answer is the output of one call besides its name.
type answer map[string]any

func main() {
	steps := []func() error{swrCalls, artifactCalls, gaussdbCalls, dbssCalls, swrPages, swrByRegion, wrongSecret}
	for _, step := range steps {
		if err := step(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

func swrCalls() error {
	client, err := swrClient(env("CLOUD_SDK_SK"))
	if err != nil {
		return err
	}
	ask := func(operation string) func() (answer, error) {
		return func() (answer, error) {
			resp, err := swrPage(client, operation, 0, 10)
			if err != nil {
				return nil, err
			}
			return page(resp.HttpStatusCode, resp.Total, resp.AuditLogs), nil
		}
	}
	return both("swr.ListAuditLogs", ask("pull"), ask("update"))
}

func artifactCalls() error {
	hc, err := connect(artifact.CodeArtsArtifactClientBuilder(), env("CLOUD_SDK_SK"))
	if err != nil {
		return err
	}
	client := artifact.NewCodeArtsArtifactClient(hc)
	ask := func(size int32) func() (answer, error) {
		return func() (answer, error) {
			resp, err := client.ShowAudit(&artifactmodel.ShowAuditRequest{
				TenantId:  env("TENANT_ID"),
				ProjectId: env("PROJECT_ID"),
				Module:    "file",
				Repo:      env("ARTIFACT_REPO"),
				PageNum:   ptr(int32(1)),
				PageSize:  &size,
			})
			if err != nil {
				return nil, err
			}
			if resp.Result == nil {
				return nil, errors.New("codeartsartifact.ShowAudit: no result in the answer")
			}
			return page(resp.HttpStatusCode, resp.Result.Total, resp.Result.AuditInfoList), nil
		}
	}
	return both("codeartsartifact.ShowAudit", ask(10), ask(101))
}

func gaussdbCalls() error {
	hc, err := connect(gaussdb.GaussDBClientBuilder(), env("CLOUD_SDK_SK"))
	if err != nil {
		return err
	}
	client := gaussdb.NewGaussDBClient(hc)
	ask := func(limit int32) func() (answer, error) {
		return func() (answer, error) {
			resp, err := client.ListAuditLogs(&gaussdbmodel.ListAuditLogsRequest{
				InstanceId: env("TAURUS_INSTANCE"),
				StartTime:  env("TAURUS_START"),
				EndTime:    env("TAURUS_END"),
				Offset:     0,
				Limit:      limit,
			})
			if err != nil {
				return nil, err
			}
			return page(resp.HttpStatusCode, resp.TotalCount, resp.AuditLogs), nil
		}
	}
	return both("gaussdb.ListAuditLogs", ask(10), ask(101))
}

func dbssCalls() error {
	hc, err := connect(dbss.DbssClientBuilder(), env("CLOUD_SDK_SK"))
	if err != nil {
		return err
	}
	client := dbss.NewDbssClient(hc)
	askNew := func(number string) func() (answer, error) {
		return func() (answer, error) {
			resp, err := client.ListAuditOperateLogsNew(&dbssmodel.ListAuditOperateLogsNewRequest{
				InstanceId: env("DBSS_INSTANCE"), Body: dbssQuery(number),
			})
			if err != nil {
				return nil, err
			}
			return page(resp.HttpStatusCode, resp.TotalNum, resp.OperateLog), nil
		}
	}
	askOld := func(number string) func() (answer, error) {
		return func() (answer, error) {
			resp, err := client.ListAuditOperateLogs(&dbssmodel.ListAuditOperateLogsRequest{
				InstanceId: env("DBSS_INSTANCE"), Body: dbssQuery(number),
			})
			if err != nil {
				return nil, err
			}
			return page(resp.HttpStatusCode, resp.TotalNum, resp.OperateLog), nil
		}
	}
	if err := both("dbss.ListAuditOperateLogsNew", askNew("1"), askNew("0")); err != nil {
		return err
	}
	return both("dbss.ListAuditOperateLogs", askOld("1"), askOld("0"))
}

func dbssQuery(number string) *dbssmodel.OperateLogGetRequest {
	return &dbssmodel.OperateLogGetRequest{
		Time: &dbssmodel.TimeRangeBean{TimeRange: ptr("MONTH")},
		Page: number,
		Size: "10",
	}
}

// swrPages reads every page of every operation until a page comes back empty.
func swrPages() error {
	client, err := swrClient(env("CLOUD_SDK_SK"))
	if err != nil {
		return err
	}
	return report("swr pages", func() (answer, error) {
		ids := []*int64{}
		for _, operation := range []string{"pull", "delete", "create"} {
			found, err := operationPages(client, operation)
			if err != nil {
				return nil, err
			}
			ids = append(ids, found...)
		}
		return answer{"ids": ids}, nil
	})
}

func operationPages(client *swr.SwrClient, operation string) ([]*int64, error) {
	var ids []*int64
	for offset := int32(0); ; offset += pageLimit {
		resp, err := swrPage(client, operation, offset, pageLimit)
		if err != nil {
			return nil, err
		}
		if resp.AuditLogs == nil || resp.Total == nil {
			return nil, errors.New("swr pages: a page without audit_logs or total")
		}
		if len(*resp.AuditLogs) == 0 {
			return ids, nil
		}
		for _, row := range *resp.AuditLogs {
			ids = append(ids, row.Id)
		}
		if len(ids) > int(*resp.Total) {
			return nil, errors.New("swr pages: more rows than total")
		}
	}
}

// swrByRegion leaves the project id to the SDK, which looks it up by region name.
func swrByRegion() error {
	credentials, err := basic.NewCredentialsBuilder().
		WithAk(env("CLOUD_SDK_AK")).
		WithSk(env("CLOUD_SDK_SK")).
		WithIamEndpointOverride(env("DAYBOOK_URL")).
		SafeBuild()
	if err != nil {
		return err
	}
	hc, err := swr.SwrClientBuilder().
		WithRegion(region.NewRegion("cn-north-4", env("DAYBOOK_URL"))).
		WithCredential(credentials).
		SafeBuild()
	if err != nil {
		return err
	}
	return report("swr by region", func() (answer, error) {
		resp, err := swrPage(swr.NewSwrClient(hc), "pull", 0, 10)
		if err != nil {
			return nil, err
		}
		return answer{"total": resp.Total}, nil
	})
}

func wrongSecret() error {
	client, err := swrClient("wrong-" + env("CLOUD_SDK_SK"))
	if err != nil {
		return err
	}
	return report("wrong secret", func() (answer, error) {
		resp, err := swrPage(client, "pull", 0, 10)
		if err != nil {
			return nil, err
		}
		return page(resp.HttpStatusCode, resp.Total, resp.AuditLogs), nil
	})
}

func swrClient(secret string) (*swr.SwrClient, error) {
	hc, err := connect(swr.SwrClientBuilder(), secret)
	if err != nil {
		return nil, err
	}
	return swr.NewSwrClient(hc), nil
}

func swrPage(client *swr.SwrClient, operation string, offset, limit int32) (*swrmodel.ListAuditLogsResponse, error) {
	return client.ListAuditLogs(&swrmodel.ListAuditLogsRequest{
		InstanceId: env("SWR_INSTANCE"),
		Operation:  operation,
		Offset:     &offset,
		Limit:      &limit,
	})
}

func connect(builder *core.HcHttpClientBuilder, secret string) (*core.HcHttpClient, error) {
	credentials, err := basic.NewCredentialsBuilder().
		WithAk(env("CLOUD_SDK_AK")).
		WithSk(secret).
		WithProjectId(env("PROJECT_ID")).
		SafeBuild()
	if err != nil {
		return nil, err
	}
	return builder.WithEndpoint(env("DAYBOOK_URL")).WithCredential(credentials).SafeBuild()
}

func page(status int, total *int32, rows any) answer {
	return answer{"status": status, "total": total, "rows": rows}
}

func both(call string, good, bad func() (answer, error)) error {
	if err := report(call, good); err != nil {
		return err
	}
	return report(call+" bad", bad)
}

// report prints the answer or the service's refusal; any other failure is returned.
func report(call string, ask func() (answer, error)) error {
	line, err := ask()
	var refusal *sdkerr.ServiceResponseError
	if errors.As(err, &refusal) {
		line = answer{"error": answer{
			"status":     refusal.StatusCode,
			"code":       refusal.ErrorCode,
			"message":    refusal.ErrorMessage,
			"request_id": refusal.RequestId,
		}}
	} else if err != nil {
		return fmt.Errorf("%s: %w", call, err)
	}
	line["call"] = call
	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	return out.Encode(line)
}

func env(name string) string {
	value := os.Getenv(name)
	if value == "" {
		fmt.Fprintln(os.Stderr, name+" is not set")
		os.Exit(1)
	}
	return value
}

func ptr[T any](value T) *T {
	return &value
}
