# The sandbox, for compose.yaml beside this file. It is built like the worker (deploy/Dockerfile), and never shipped.
ARG GO_IMAGE=docker.io/library/golang:1.26.8
FROM --platform=$BUILDPLATFORM ${GO_IMAGE} AS build
ARG TARGETOS=linux
ARG TARGETARCH=amd64
ARG GOPROXY=https://proxy.golang.org,direct
ENV CGO_ENABLED=0 GOTOOLCHAIN=local GOFLAGS=-mod=readonly
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -buildvcs=false -o /out/sandbox ./cmd/sandbox

FROM scratch
COPY --from=build /out/sandbox /sandbox
USER 65532:65532
ENTRYPOINT ["/sandbox"]
