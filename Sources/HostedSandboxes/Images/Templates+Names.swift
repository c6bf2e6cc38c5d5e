import DeploymentCore
import DeploymentStore
import E2BProtocol
import Sandboxes

extension Templates {
    /// The template of a name.
    public func alias(_ text: String) throws -> (template: String, isPublic: Bool) {
        let reference = try ImageReference(text)
        guard reference.isOwn else { throw ImageStore.missing(text) }
        if images.builtIn[reference.name] != nil { return (reference.name, true) }
        let found = try details(text)
        return (found.template.id, found.template.isPublic)
    }

    /// Gives the build of a name more tags.
    public func tag(_ request: TagRequest) throws -> (build: String, tags: [String]) {
        let reference = try ImageReference(request.target)
        let tags = try request.tags.map { tag throws(ControlFailure) in try ImageReference.check(tag: tag) }
        let found = try details(request.target)
        guard let id = found.tags.first(where: { $0.tag == reference.effectiveTag })?.build,
            let build = found.builds.first(where: { $0.id == id })
        else { throw ImageStore.missing(request.target) }
        try answering { try images.store.tag(build, tags, time: images.now()) }
        return (build.id, tags)
    }

    /// Takes tags away from a template.
    public func untag(_ request: TagRequest) throws {
        let tags = try request.tags.map { tag throws(ControlFailure) in try ImageReference.check(tag: tag) }
        let found = try details(request.target)
        guard try answering({ try images.store.untag(found.template.id, tags, time: images.now()) }) else {
            throw ControlFailure(404, "template '\(request.target)' has no tag \(tags.joined(separator: ", "))")
        }
    }

    /// The tags of a template, as the answer has them.
    public func tags(of text: String) throws -> JSONValue {
        .array(
            try details(text).tags.map { tag in
                [
                    "tag": .string(tag.tag), "buildID": .string(tag.build),
                    "createdAt": .string(Timestamp(milliseconds: tag.createdAt).text),
                ]
            })
    }

    /// Lets others use a template, or not; answers its names.
    public func change(_ text: String, _ change: TemplateChange) throws -> [String] {
        let found = try details(text)
        if let isPublic = change.isPublic {
            try answering { try images.store.setPublic(isPublic, found.template.id, time: images.now()) }
        }
        return found.names.map(ImageReference.full)
    }

    /// Forgets a template or a snapshot with its files.
    ///
    /// - Throws: a `ControlFailure`: 404 for none, 403 for a built-in one.
    public func delete(_ text: String) throws {
        let reference = try ImageReference(text)
        guard reference.isOwn else { throw ImageStore.missing(text) }
        guard images.builtIn[reference.name] == nil else {
            throw ControlFailure(403, "'\(reference.name)' is built in and cannot be deleted")
        }
        try answering {
            if let snapshot = try images.store.snapshot(reference.name, tag: reference.effectiveTag) {
                guard try images.store.deleteSnapshot(snapshot.id) else { throw ImageStore.missing(text) }
                return images.release([snapshot.archive])
            }
            guard let found = try images.store.template(reference.name),
                try images.store.deleteTemplate(found.template.id)
            else { throw ImageStore.missing(text) }
            images.release(found.builds.map(\.archive))
        }
    }

    /// One template with its builds.
    public func template(_ text: String) throws -> TemplateInformation { Self.information(try details(text)) }

    /// The templates, newest first; built-in ones are not among them.
    public func list() throws -> [TemplateInformation] {
        try answering { try images.store.templates() }.map(Self.information)
    }

    private func details(_ text: String) throws -> DeploymentStore.TemplateDetails {
        let reference = try ImageReference(text)
        guard reference.isOwn, let found = try answering({ try images.store.template(reference.name) }) else {
            throw ImageStore.missing(text)
        }
        return found
    }

    /// What sandboxes may have on disk, as clients are told, in MiB.
    static let diskMiB = 10_240

    private static func information(_ details: DeploymentStore.TemplateDetails) -> TemplateInformation {
        TemplateInformation(
            template: details.template.id, aliases: details.names, names: details.names.map(ImageReference.full),
            isPublic: details.template.isPublic, createdAt: Timestamp(milliseconds: details.template.createdAt),
            updatedAt: Timestamp(milliseconds: details.template.updatedAt),
            builds: details.builds.map { build in
                TemplateInformation.Build(
                    build: build.id, state: TemplateBuildState(rawValue: build.status.rawValue) ?? .error,
                    createdAt: Timestamp(milliseconds: build.createdAt),
                    finishedAt: build.finishedAt.map { Timestamp(milliseconds: $0) }, processors: build.processors,
                    memoryMiB: build.memoryMiB)
            }, diskMiB: diskMiB)
    }
}
