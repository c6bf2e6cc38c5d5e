/// Keys that other serving tools use for things a manifest spells its own way, or does not have yet.
enum ForeignSpellings {
    /// Where a foreign key is at home here; nil for keys that no tool is known for.
    static func suggestion(for key: String) -> String? {
        if let (here, tool) = renamed[key] {
            return tool.isEmpty ? "\(quoted(key)) is \(here) here" : "\(tool)'s \(quoted(key)) is \(here) here"
        }
        if let advice = advice[key] { return advice }
        return notYet.contains(key) ? "\(quoted(key)) is not supported yet; leave it out" : nil
    }

    private static let renamed: [String: (here: String, tool: String)] = [
        // The name and the model.
        "model_name": ("'name'", "Truss"), "service": ("'name'", "Kamal"),
        "storageUri": ("'model'", "KServe"), "storage_uri": ("'model'", "KServe"), "modelUri": ("'model'", ""),
        "modelFormat": ("'model.type'", "KServe"), "weights": ("'model.files'", "Cog"),
        "model_path": ("'model'", ""), "models": ("'model'", "BentoML"), "artifact": ("'model'", ""),
        "model_cache": ("'model.files'", "Truss"), "external_data": ("'model.files'", "Truss"),
        "checksum": ("'sha256'", ""), "digest": ("'sha256'", ""), "uri": ("'source'", ""), "url": ("'source'", ""),
        "mount_location": ("'target'", "Truss"), "destination": ("'target'", ""),
        // The environment.
        "requirements_file": ("'requirements: requirements.txt'", "Truss"),
        "requirements_txt": ("'requirements: requirements.txt'", "BentoML"),
        "python_requirements": ("'requirements'", "Cog"), "dependencies": ("'requirements'", ""),
        "packages": ("'requirements'", "BentoML"), "python_packages": ("'requirements'", "Cog"),
        "pip": ("'requirements'", "Ray Serve"), "python_version": ("'python'", "Truss"),
        "environment": ("'env'", ""), "environment_variables": ("'env'", "Truss"), "envs": ("'env'", ""),
        "env_vars": ("'env'", "Ray Serve"),
        // Health.
        "readiness_probe": ("'health'", "SkyServe"), "readinessProbe": ("'health'", "KServe"),
        "livenessProbe": ("'health'", "Kubernetes"), "startupProbe": ("'health'", "Kubernetes"),
        "healthcheck": ("'health'", "Kamal"), "health_check": ("'health'", ""), "health_checks": ("'health'", "Truss"),
        "probes": ("'health'", "dstack"), "checks": ("'health'", "Fly"), "runner_probe": ("'health'", "BentoML"),
        "readiness_endpoint": ("'health.path'", "Truss"), "liveness_endpoint": ("'health.path'", "Truss"),
        "health_route": ("'health.path'", ""), "healthcheck_path": ("'health.path'", "LitServe"),
        "initial_delay_seconds": ("'health.startup_timeout'", "SkyServe"),
        "initialDelaySeconds": ("'health.startup_timeout'", "Kubernetes"),
        "startup_threshold_seconds": ("'health.startup_timeout'", "Truss"),
        "grace_period": ("'health.startup_timeout'", "Fly"), "deploy_timeout": ("'health.startup_timeout'", "Kamal"),
        "start_period": ("'health.startup_timeout'", "Docker"), "retries": ("'health.failure_threshold'", "Docker"),
        "periodSeconds": ("'health.interval'", "Kubernetes"), "timeoutSeconds": ("'health.timeout'", "Kubernetes"),
        "health_check_period_s": ("'health.interval'", "Ray Serve"),
        "health_check_timeout_s": ("'health.timeout'", "Ray Serve"), "body": ("'expect'", ""),
        // The server.
        "docker_server": ("'server'", "Truss"), "http_service": ("'server'", "Fly"),
        "http_options": ("'server'", "Ray Serve"),
        "proxy": ("'server'", "Kamal"), "start_command": ("'server.command'", "Truss"),
        "start_cmd": ("'server.command'", "E2B"),
        "cmd": ("'server.command'", "Docker"), "run": ("'server.command'", "SkyServe"),
        "commands": ("'server.command'", "dstack"), "entrypoint": ("'server.command'", "Docker"),
        "import_path": ("'server.app'", "Ray Serve"), "server_port": ("'server.port'", "Truss"),
        "internal_port": ("'server.port'", "Fly"), "app_port": ("'server.port'", "Kamal"),
        "containerPort": ("'server.port'", "Kubernetes"), "http_port": ("'server.port'", "MLServer"),
        "workdir": ("'server.working_directory'", "SkyServe"),
        "working_dir": ("'server.working_directory'", "Ray Serve"),
        "workingDir": ("'server.working_directory'", "Kubernetes"), "ignore": ("'server.exclude'", ""),
        // The machine.
        "limits": ("'resources'", "Kubernetes"), "requests": ("'resources'", "Kubernetes"),
        "vm": ("'resources'", "Fly"),
        "cpus": ("'resources.cpu'", "Docker"), "mem_limit": ("'resources.memory'", "Docker"),
        "memory_mb": ("'resources.memory'", "Fly"), "num_cpus": ("'resources.cpu'", "Ray Serve"),
        "disk_size": ("'resources.disk'", "SkyServe"), "pids_limit": ("'resources.processes'", "Docker"),
        "ulimits": ("'resources.open_files'", "Docker"), "nofile": ("'resources.open_files'", "Docker"),
        "egress": ("'network: egress'", ""), "allowed_hosts": ("'network'", ""),
        "allow_internet_access": ("'network: egress'", "E2B"), "block_network": ("'network: none'", "Modal"),
        "cidr_allowlist": ("'network'", "Modal"), "network_allow_list": ("'network'", "Daytona"),
        // Predictions, tests, traffic.
        "predict_endpoint": ("'predict.path'", "Truss"), "api_path": ("'predict.path'", "LitServe"),
        "response_timeout": ("'predict.timeout'", "Kamal"), "request_timeout_s": ("'predict.timeout'", "Ray Serve"),
        "tests": ("'smoke'", ""), "smoke_tests": ("'smoke'", ""), "golden": ("'smoke'", ""),
        "machine_checks": ("'smoke'", "Fly"), "max_latency": ("'within'", ""), "input": ("'request'", "Cog"),
        "json": ("'request'", ""), "data": ("'request'", ""), "files": ("'form' with '@path' values", ""),
        "drain_timeout": ("'rollout.drain'", "Kamal"), "kill_timeout": ("'rollout.drain'", "Fly"),
        "graceful_shutdown_timeout_s": ("'rollout.drain'", "Ray Serve"),
        // Matchers.
        "gte": ("'at_least'", ""), "ge": ("'at_least'", ""), "min": ("'at_least'", ""), "minimum": ("'at_least'", ""),
        "lte": ("'at_most'", ""), "le": ("'at_most'", ""), "max": ("'at_most'", ""), "maximum": ("'at_most'", ""),
        "in": ("'one_of'", ""), "enum": ("'one_of'", ""), "close_to": ("'approx'", ""), "delta": ("'tolerance'", ""),
        "abs": ("'tolerance'", ""), "len": ("'length'", ""), "size": ("'length'", ""), "count": ("'length'", ""),
        "present": ("'exists'", ""),
    ]

    private static let advice: [String: String] = [
        "image": noImages, "base_image": noImages, "docker": noImages, "dockerfile": noImages, "build": noImages,
        "runtime": "the runtime is 'python', 'requirements' and 'server' here",
        "kind": kubernetes, "metadata": kubernetes, "spec": kubernetes,
        "include": "'server.source' is copied whole; 'server.exclude' leaves paths out",
        "host": "apps listen on 127.0.0.1 inside their sandbox; 'server.port' is all there is to choose",
        "gpu": "sandboxes have no GPU yet; leave it out",
    ]

    private static let noImages = "there are no images; 'python' and 'requirements' say what is installed"
    private static let kubernetes = "this looks like a Kubernetes resource; a manifest starts with 'name' and 'model'"

    private static let notYet: Set<String> = [
        "secrets", "secret", "replicas", "provider", "project", "workers",
        "concurrency", "queue", "batch", "batching", "cache", "strategy", "bake", "auto_rollback", "canary", "rollback",
        "system_packages", "volumes", "scaling", "autoscaling", "autoscaling_config", "min_replicas", "max_replicas",
        "minReplicas", "maxReplicas", "num_replicas", "labels", "schedule", "webhooks", "auth",
        "rate_limits", "gateway", "sandbox", "runtime_env", "max_batch_size", "logging",
    ]
}
