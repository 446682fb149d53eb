// SPDX-License-Identifier: MIT
#include "RestBridgeLiveLinkSource.h"

#include "Core/Session.h"
#include "HAL/PlatformTime.h"
#include "ILiveLinkClient.h"
#include "LiveLinkTypes.h"
#include "Misc/App.h"
#include "RestBridgeSession.h"
#include "Roles/LiveLinkBasicRole.h"
#include "Roles/LiveLinkBasicTypes.h"

#define LOCTEXT_NAMESPACE "RestBridge"

static constexpr double GLiveLinkSilenceSeconds = 3.0;

FRestBridgeLiveLinkSource::FRestBridgeLiveLinkSource(FName InSubject, std::shared_ptr<RestBridgeCore::Session> InSession)
	: Subject(InSubject)
	, Session(std::move(InSession))
{
}

FRestBridgeLiveLinkSource::~FRestBridgeLiveLinkSource() = default;

void FRestBridgeLiveLinkSource::ReceiveClient(ILiveLinkClient* InClient, FGuid InSourceGuid)
{
	Client = InClient;
	SourceGuid = InSourceGuid;
	FLiveLinkStaticDataStruct Static(FLiveLinkBaseStaticData::StaticStruct());
	FLiveLinkBaseStaticData& Data = *Static.Cast<FLiveLinkBaseStaticData>();
	Data.PropertyNames.Reserve(static_cast<int32>(RestBridgeCore::kNumCurves));
	for (const std::string& Name : RestBridgeCore::CurveNames())
	{
		Data.PropertyNames.Add(FName(*RestBridge::FromUtf8(Name)));
	}
	Client->PushSubjectStaticData_AnyThread(FLiveLinkSubjectKey(SourceGuid, Subject), ULiveLinkBasicRole::StaticClass(), MoveTemp(Static));
}

void FRestBridgeLiveLinkSource::Push(const RestBridgeCore::Curves& Curves)
{
	if (Client == nullptr || bStopped)
	{
		return;
	}
	FLiveLinkFrameDataStruct Frame(FLiveLinkBaseFrameData::StaticStruct());
	FLiveLinkBaseFrameData& Data = *Frame.Cast<FLiveLinkBaseFrameData>();
	LastPush = FPlatformTime::Seconds();
	Data.WorldTime = FLiveLinkWorldTime(LastPush);
	// Both times, so that Live Link may be evaluated by either: the game's clock and its timecode.
	Data.MetaData.SceneTime = FApp::GetCurrentFrameTime().Get(FQualifiedFrameTime());
	Data.PropertyValues.Append(Curves.data(), static_cast<int32>(Curves.size()));
	Client->PushSubjectFrameData_AnyThread(FLiveLinkSubjectKey(SourceGuid, Subject), MoveTemp(Frame));
}

void FRestBridgeLiveLinkSource::Update()
{
	if (!Session || bStopped)
	{
		return;
	}
	RestBridgeCore::News News;
	const int64 NowNs = rb_now_ns();
	Session->Tick(NowNs, &News);
	rb_rig Rig;
	if (Session->NextRig(NowNs, &Rig))
	{
		Push(RestBridgeCore::ToCurves(Rig));
	}
}

bool FRestBridgeLiveLinkSource::IsSourceStillValid() const
{
	return Client != nullptr && !bStopped;
}

bool FRestBridgeLiveLinkSource::RequestSourceShutdown()
{
	bStopped = true;
	Session.reset();
	return true;
}

FText FRestBridgeLiveLinkSource::GetSourceType() const
{
	return LOCTEXT("SourceType", "Rest Bridge");
}

FText FRestBridgeLiveLinkSource::GetSourceMachineName() const
{
	return FText::FromName(Subject);
}

FText FRestBridgeLiveLinkSource::GetSourceStatus() const
{
	if (bStopped)
	{
		return LOCTEXT("Stopped", "Stopped");
	}
	const bool bActive = FPlatformTime::Seconds() - LastPush < GLiveLinkSilenceSeconds;
	return bActive ? LOCTEXT("Active", "Active") : LOCTEXT("Waiting", "Waiting for the daemon");
}

#undef LOCTEXT_NAMESPACE
