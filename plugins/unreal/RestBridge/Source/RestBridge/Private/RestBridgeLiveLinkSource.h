// SPDX-License-Identifier: MIT
#pragma once

#include <atomic>
#include <memory>

#include "Core/CurveTable.h"
#include "CoreMinimal.h"
#include "ILiveLinkSource.h"

namespace RestBridgeCore
{
	class Session;
}

/**
 * The face's curves as a Live Link subject of the basic role: 52 ARKit weights, head and eyes.
 * Either a component pushes them in time with its voice, or the source has a session of its own
 * (made in the Live Link window) and pushes the newest ones.
 */
class FRestBridgeLiveLinkSource : public ILiveLinkSource
{
public:
	FRestBridgeLiveLinkSource(FName InSubject, std::shared_ptr<RestBridgeCore::Session> InSession);
	virtual ~FRestBridgeLiveLinkSource() override;

	/** On the game thread. */
	void Push(const RestBridgeCore::Curves& Curves);

	//~ ILiveLinkSource
	virtual void ReceiveClient(ILiveLinkClient* InClient, FGuid InSourceGuid) override;
	virtual void Update() override;
	virtual bool IsSourceStillValid() const override;
	virtual bool RequestSourceShutdown() override;
	virtual FText GetSourceType() const override;
	virtual FText GetSourceMachineName() const override;
	virtual FText GetSourceStatus() const override;

private:
	const FName Subject;
	std::shared_ptr<RestBridgeCore::Session> Session;
	ILiveLinkClient* Client = nullptr;
	FGuid SourceGuid;
	std::atomic<bool> bStopped{false};
	double LastPush = 0.0;
};
