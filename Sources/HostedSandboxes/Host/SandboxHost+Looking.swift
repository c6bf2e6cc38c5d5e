import DeploymentCore
import DeploymentStore
import E2BProtocol
import Sandboxes
import Waiting

extension SandboxHost {
    /// How many sandboxes are measured at once.
    private static let measuredAtOnce = 4

    /// What a client needs to use a sandbox.
    public func handle(of id: String) throws -> SandboxHandle { handle(try visible(id).record) }

    func handle(_ record: HostedSandboxRecord) -> SandboxHandle {
        SandboxHandle(
            sandbox: record.id, template: record.template, alias: record.alias,
            agentToken: secret(of: record),
            trafficToken: trafficToken(record), domain: domain)
    }

    func trafficToken(_ record: HostedSandboxRecord) -> String? {
        record.networkSettings?.allowsPublicTraffic == false ? surroundings.tokens.trafficToken(record.id) : nil
    }

    /// All that is known of a sandbox.
    ///
    /// - Throws: 404 when there is none.
    public func information(_ id: String) throws -> SandboxInformation {
        let record = try visible(id).record
        var information = row(record)
        information.handle = handle(record)
        information.detail = SandboxInformation.Detail(
            allowsInternet: record.allowsInternet, network: record.networkSettings,
            resumesOnTraffic: record.resumesOnTraffic, pausesOnTimeout: record.pausesOnTimeout)
        return information
    }

    private func row(_ record: HostedSandboxRecord) -> SandboxInformation {
        SandboxInformation(
            handle: SandboxHandle(sandbox: record.id, template: record.template, alias: record.alias),
            startedAt: Timestamp(milliseconds: record.startedAt), endAt: Timestamp(milliseconds: record.endAt),
            processors: record.processors, memoryMiB: record.memoryMiB, diskMiB: HostedSettings.diskMiB,
            state: record.shown, pauseMode: record.shownPause, metadata: record.metadata, volumes: record.volumeMounts)
    }

    /// A page of the list.
    ///
    /// - Throws: 400 for a token that no page gave.
    public func list(
        _ query: SandboxQuery
    ) throws -> (rows: [SandboxInformation], nextToken: String?, running: Int?) {
        let page = try query.page(entries.values.map(\.record).filter(\.isVisible))
        return (page.rows.map(row), page.nextToken, page.running)
    }

    /// What a sandbox used from second `start` to second `end`.
    ///
    /// - Throws: 404 when there is none.
    public func measurements(
        _ id: String, from start: Int64? = nil, to end: Int64? = nil
    ) throws
        -> [SandboxMeasurement]
    {
        try visible(id).history.between(start, end)
    }

    /// What sandboxes used last; those that do not exist or were not measured yet are left out.
    public func lastMeasurements(_ ids: [String]) -> [String: SandboxMeasurement] {
        ids.reduce(into: [:]) { found, id in
            if let last = (try? visible(id))?.history.last { found[id] = last }
        }
    }

    /// What is told of a sandbox.
    ///
    /// - Throws: 404 when there is none.
    public func lines(_ id: String, _ query: LogQuery) throws -> [SandboxLog.Line] {
        query.select(try visible(id).log.all)
    }

    /// Measures the running sandboxes again and again, until the task is cancelled.
    public nonisolated func measureSandboxes() async {
        while !Task.isCancelled {
            guard (try? await surroundings.clock.pause(for: settings.measuringPause)) != nil else { return }
            await measure()
        }
    }

    /// Measures every running sandbox once; one that has ended by itself is removed.
    func measure() async {
        let running = entries.values.filter { $0.record.state == .running }.compactMap { entry in
            entry.sandbox.map { (entry.record.id, $0) }
        }
        var waiting = running[...]
        await withTaskGroup(of: Void.self) { group in
            for (id, sandbox) in waiting.prefix(Self.measuredAtOnce) {
                group.addTask { await self.measure(id, sandbox) }
            }
            waiting = waiting.dropFirst(Self.measuredAtOnce)
            while await group.next() != nil {
                guard let (id, sandbox) = waiting.popFirst() else { continue }
                group.addTask { await self.measure(id, sandbox) }
            }
        }
    }

    private func measure(_ id: String, _ sandbox: any Sandbox) async {
        do {
            let statistics = try await within("measuring sandbox \(id)") { try await sandbox.statistics() }
            guard let record = entries[id]?.record, record.state == .running else { return }
            entries[id]?.history.add(statistics, of: record, at: now)
        } catch let error as BerthError where error.code == .notFound {
            // It may have been ended by its owner meanwhile, which is no loss.
            try? await alone(id) { host in
                guard host.entries[id]?.record.state == .running else { return }
                await host.lose(id)
            }
        } catch {
            note(id, "the sandbox could not be measured", .debug)
        }
    }
}
