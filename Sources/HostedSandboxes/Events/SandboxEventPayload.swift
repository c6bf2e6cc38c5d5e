import DeploymentCore
import DeploymentStore
import E2BProtocol

/// The two forms of an event on the wire (protocol note 5.3 and 5.5).
enum SandboxEventPayload {
    /// The version of both.
    static let version = "v2"
    /// What kind of events they are.
    static let category = "lifecycle"

    /// What receivers of webhooks get: snake_case. Always the same bytes for the same event.
    static func delivered(_ event: SandboxEventRecord, team: String) -> [UInt8] {
        let json: JSONValue = [
            "id": .string(event.id), "version": .string(version), "type": .string(event.kind.type),
            "timestamp": .string(Timestamp(milliseconds: event.time).text),
            "event_category": .string(category), "event_label": .string(event.kind.label),
            "event_data": data(event), "sandbox_id": .string(event.sandbox),
            "sandbox_execution_id": .string(event.execution), "sandbox_template_id": .string(event.template),
            "sandbox_build_id": .string(event.build), "sandbox_team_id": .string(team),
            "events_ttl_days": .integer(Int64(DeploymentStore.sandboxEventDays)),
        ]
        return json.encoded()
    }

    /// What those who ask for events get: camelCase, but for the data, which is the same.
    static func listed(_ event: SandboxEventRecord, team: String) -> JSONValue {
        [
            "id": .string(event.id), "version": .string(version), "type": .string(event.kind.type),
            "timestamp": .string(Timestamp(milliseconds: event.time).text),
            "eventCategory": .string(category), "eventLabel": .string(event.kind.label),
            "eventData": data(event), "sandboxId": .string(event.sandbox),
            "sandboxExecutionId": .string(event.execution), "sandboxTemplateId": .string(event.template),
            "sandboxBuildId": .string(event.build), "sandboxTeamId": .string(team),
        ]
    }

    /// We wrote it ourselves; what cannot be read, as after a change of the form, is left out.
    private static func data(_ event: SandboxEventRecord) -> JSONValue {
        (try? JSONValue(parsing: event.data)) ?? .null
    }
}
