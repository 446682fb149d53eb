// SPDX-License-Identifier: MIT
#include "RestBridgeLiveLinkSourceFactory.h"

#include "RestBridgeLiveLinkSource.h"
#include "RestBridgeModule.h"
#include "RestBridgeSession.h"

#define LOCTEXT_NAMESPACE "RestBridge"

FText URestBridgeLiveLinkSourceFactory::GetSourceDisplayName() const
{
	return LOCTEXT("DisplayName", "Rest Bridge");
}

FText URestBridgeLiveLinkSourceFactory::GetSourceTooltip() const
{
	return LOCTEXT("Tooltip", "Face curves of the rest_bridge daemon that the project settings name");
}

ULiveLinkSourceFactory::EMenuType URestBridgeLiveLinkSourceFactory::GetMenuType() const
{
	return EMenuType::MenuEntry;
}

TSharedPtr<ILiveLinkSource> URestBridgeLiveLinkSourceFactory::CreateSource(const FString& ConnectionString) const
{
	FString Problem;
	std::shared_ptr<RestBridgeCore::Session> Session = RestBridge::OpenSession(false, false, Problem);
	if (!Session)
	{
		UE_LOG(LogRestBridge, Error, TEXT("Live Link: %s"), *Problem);
		return nullptr;
	}
	const FName Subject(ConnectionString.IsEmpty() ? TEXT("RestBridge") : *ConnectionString);
	return MakeShared<FRestBridgeLiveLinkSource>(Subject, Session);
}

#undef LOCTEXT_NAMESPACE
