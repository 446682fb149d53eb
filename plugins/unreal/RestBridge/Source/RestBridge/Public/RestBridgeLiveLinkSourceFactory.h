// SPDX-License-Identifier: MIT
#pragma once

#include "CoreMinimal.h"
#include "LiveLinkSourceFactory.h"
#include "RestBridgeLiveLinkSourceFactory.generated.h"

/** "Rest Bridge" in the Live Link window's list of sources. */
UCLASS()
class RESTBRIDGE_API URestBridgeLiveLinkSourceFactory : public ULiveLinkSourceFactory
{
	GENERATED_BODY()

public:
	virtual FText GetSourceDisplayName() const override;
	virtual FText GetSourceTooltip() const override;
	virtual EMenuType GetMenuType() const override;

	/** The connection string is the subject's name; empty: "RestBridge". */
	virtual TSharedPtr<ILiveLinkSource> CreateSource(const FString& ConnectionString) const override;
};
