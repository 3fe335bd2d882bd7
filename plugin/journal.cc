// SPDX-License-Identifier: Apache-2.0
#include "plugin/journal.h"

#include "conf/attachment_name.h"
#include "conf/error.h"

namespace plugin {
namespace {

constexpr std::size_t kMaxRecordBytes = 8 * conf::kMaxConfigBytes;  // list, runtimeConfig and result, escaped
constexpr std::string_view kBrokenSuffix = ".broken";

// Our own names hold one ':'; temporaries begin with '.'.
bool is_record_name(std::string_view name) {
  return !name.starts_with('.') && name.find(':') != std::string_view::npos && !name.ends_with(kBrokenSuffix);
}

}  // namespace

Journal::Journal(conf::Disk& disk, const std::string& state_dir) : disk_(disk), dir_(state_dir + "/attachments") {}

void Journal::prepare() { disk_.make_dirs(dir_); }

std::string Journal::path(const conf::AttachmentId& id) const { return dir_ + '/' + conf::attachment_name(id); }

std::string Journal::draft_path(const conf::AttachmentId& id) const {
  return dir_ + "/." + conf::attachment_name(id) + ".draft";
}

Found Journal::find(const conf::AttachmentId& id) {
  const std::string file = path(id);
  const std::optional<std::string> text = disk_.read(file, kMaxRecordBytes);
  if (!text) return {};
  std::optional<Attachment> attachment = parse_record(*text, file);
  if (!attachment) return {.attachment = std::nullopt, .torn = true};
  if (attachment->id != id)
    throw conf::CniError(conf::Code::kState, "record cannot be read", file + ": it is another attachment's");
  return {.attachment = std::move(attachment), .torn = false};
}

std::vector<Attachment> Journal::all(std::vector<BrokenRecord>* broken) {
  std::vector<Attachment> out;
  for (const conf::DirEntry& entry : disk_.list(dir_)) {
    const std::string file = dir_ + '/' + entry.name;
    if (!is_record_name(entry.name)) {
      if (broken != nullptr && entry.name.starts_with('.'))
        broken->push_back({file, "a draft that was never finished", BrokenRecord::Kind::kUnfinished});
      else if (broken != nullptr && entry.name.ends_with(kBrokenSuffix))
        broken->push_back({file, "set aside as unreadable", BrokenRecord::Kind::kSetAside});
      continue;
    }
    try {
      const std::optional<std::string> text = disk_.read(file, kMaxRecordBytes);
      if (!text) continue;  // gone since it was listed
      std::optional<Attachment> attachment = parse_record(*text, file);
      if (attachment) {
        out.push_back(std::move(*attachment));
      } else if (broken != nullptr) {
        broken->push_back({file, "its intent is cut short", BrokenRecord::Kind::kUnfinished});
      }
    } catch (const conf::CniError& error) {
      if (broken != nullptr) broken->push_back({file, error.details()});
    }
  }
  return out;
}

std::vector<Attachment> Journal::siblings(const conf::AttachmentId& but) {
  const std::string own = conf::attachment_name(but);
  const std::string prefix = own.substr(0, own.find(':') + 1);
  std::vector<Attachment> out;
  for (const conf::DirEntry& entry : disk_.list(dir_)) {
    if (!entry.name.starts_with(prefix) || entry.name == own || !is_record_name(entry.name)) continue;
    const std::string ifname = entry.name.substr(prefix.size());
    Found found = find({.container_id = but.container_id, .ifname = ifname});
    if (found.attachment) out.push_back(std::move(*found.attachment));
  }
  return out;
}

bool Journal::begin(const Attachment& attachment) { return disk_.create(path(attachment.id), record_text(attachment)); }

void Journal::complete(const conf::AttachmentId& id, std::string_view result, std::int64_t ready_ms,
                       const std::vector<conf::PodRouteSetting>& pod_routes) {
  disk_.append(path(id), result_line(result, ready_ms, pod_routes), conf::Sync::kYes);
}

void Journal::note_failure(const Attachment& attachment, std::int64_t failed_ms) {
  const std::string text =
      record_text(attachment) + failure_line(attachment.failed_deletes, attachment.last_failure, failed_ms);
  // Not Disk::replace: killed in it, we would leave a temporary file of a name that the next call cannot know.
  const std::string draft = draft_path(attachment.id);
  disk_.remove(draft);
  (void)disk_.create(draft, text);  // the attachment's lock is held: nobody else makes it
  disk_.append(draft, {}, conf::Sync::kYes);
  disk_.rename(draft, path(attachment.id));
}

void Journal::forget(const conf::AttachmentId& id) {
  disk_.remove(draft_path(id));
  disk_.remove(path(id));
}

void Journal::remove_unfinished(const BrokenRecord& record) { disk_.remove(record.file); }

void Journal::set_aside(const conf::AttachmentId& id) { disk_.rename(path(id), path(id) + std::string(kBrokenSuffix)); }

}  // namespace plugin
